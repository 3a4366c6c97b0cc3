"""What the robot is told to do, for every Meta-World task: the package has no language of its own.

:data:`TRAINING` holds wordings for collection and training, the first of which is canonical;
:data:`HELD_OUT` holds paraphrases that no training data may contain, for evaluation. A held-out
paraphrase names the same thing and the same result in another sentence, often with other words.
"""

from __future__ import annotations

TRAINING: dict[str, tuple[str, ...]] = {
    "assembly": (
        "put the ring over the peg",
        "pick up the wrench and place its ring on the peg",
        "assemble the nut onto the peg",
        "lift the ring and lower it over the peg",
    ),
    "basketball": (
        "put the ball through the hoop",
        "dunk the basketball",
        "drop the ball into the basket",
        "pick up the basketball and put it in the hoop",
    ),
    "bin-picking": (
        "move the cube from one bin to the other",
        "pick the cube out of its bin and put it into the second bin",
        "take the block to the other bin",
        "transfer the cube between the bins",
    ),
    "box-close": (
        "close the box with its lid",
        "put the lid on the box",
        "pick up the cover and place it on the box",
        "cover the box",
    ),
    "button-press": (
        "press the button on the front of the box",
        "push the button in from the front",
        "push the red button into the box",
        "press the side-mounted button",
    ),
    "button-press-topdown": (
        "press the button from above",
        "push the button on top of the box down",
        "press the red button downwards",
        "press down the button on top",
    ),
    "button-press-topdown-wall": (
        "press the button from above, behind the wall",
        "reach over the wall and push the button down",
        "press the top button past the wall",
        "go over the wall and press the button downwards",
    ),
    "button-press-wall": (
        "go around the wall and press the button",
        "press the button on the front of the box behind the wall",
        "push in the button behind the wall",
        "bypass the wall and push the button",
    ),
    "coffee-button": (
        "press the button of the coffee machine",
        "start the coffee machine",
        "push the coffee maker's button",
        "turn on the coffee machine",
    ),
    "coffee-pull": (
        "pull the mug away from the coffee machine",
        "take the mug from the coffee machine",
        "move the cup out from under the coffee maker",
        "draw the mug back from the coffee machine",
    ),
    "coffee-push": (
        "push the mug under the coffee machine",
        "put the mug below the coffee machine",
        "slide the cup to the coffee maker",
        "move the mug into the coffee machine",
    ),
    "dial-turn": (
        "turn the dial",
        "rotate the dial",
        "turn the round dial around",
        "spin the dial",
    ),
    "disassemble": (
        "take the ring off the peg",
        "lift the wrench off the peg",
        "remove the nut from the peg",
        "pull the ring up and off the peg",
    ),
    "door-close": (
        "close the door",
        "push the door shut",
        "shut the door of the safe",
        "swing the door closed",
    ),
    "door-lock": (
        "lock the door",
        "turn the lock to lock the door",
        "rotate the lock down to lock the door",
        "secure the door with its lock",
    ),
    "door-open": (
        "open the door",
        "pull the door open",
        "open the door of the safe by its handle",
        "swing the door open",
    ),
    "door-unlock": (
        "unlock the door",
        "turn the lock to unlock the door",
        "rotate the lock to release the door",
        "undo the lock of the door",
    ),
    "hand-insert": (
        "put the hand into the hole",
        "insert the gripper into the hole",
        "lower the gripper into the opening of the table",
        "move the hand down into the hole",
    ),
    "drawer-close": (
        "close the drawer",
        "push the drawer shut",
        "shut the drawer",
        "slide the drawer in",
    ),
    "drawer-open": (
        "open the drawer",
        "pull the drawer open",
        "pull the drawer out by its handle",
        "slide the drawer out",
    ),
    "faucet-open": (
        "open the faucet",
        "turn the faucet on",
        "open the tap",
        "let the water run",
        "rotate the faucet handle to the open position",
    ),
    "faucet-close": (
        "close the faucet",
        "turn the faucet off",
        "close the tap",
        "stop the water",
        "rotate the faucet handle to the closed position",
    ),
    "hammer": (
        "hammer the nail into the box",
        "pick up the hammer and hit the nail",
        "drive the nail in with the hammer",
        "strike the nail with the hammer",
    ),
    "handle-press-side": (
        "press the handle down from the side",
        "push the side handle down",
        "press down the handle at the side of the box",
        "push the sideways lever handle downwards",
    ),
    "handle-press": (
        "press the handle down",
        "push the handle down",
        "push down the handle of the box",
        "press the handle downwards",
    ),
    "handle-pull-side": (
        "pull the handle up from the side",
        "lift the side handle",
        "pull up the handle at the side of the box",
        "raise the handle sideways",
    ),
    "handle-pull": (
        "pull the handle up",
        "lift the handle",
        "pull up the handle of the box",
        "raise the handle",
    ),
    "lever-pull": (
        "pull the lever up",
        "lift the lever",
        "raise the lever by 90 degrees",
        "pull the lever to its upright position",
    ),
    "peg-insert-side": (
        "insert the peg into the hole from the side",
        "push the peg sideways into the hole",
        "pick up the green peg and insert it in the box",
        "put the peg into the side of the box",
    ),
    "pick-place-wall": (
        "carry the puck over the wall to the goal",
        "pick up the puck, pass the wall and place it",
        "lift the object past the wall and bring it to the target",
        "take the puck across the wall",
    ),
    "pick-out-of-hole": (
        "pick the puck out of the hole",
        "take the puck out of the hole",
        "lift the object from the hole",
        "get the puck out of the hole",
    ),
    "reach": (
        "reach the goal position",
        "move the hand to the target",
        "reach for the marked point",
        "bring the gripper to the goal",
    ),
    "push-back": (
        "push the puck back to the goal",
        "push the block backwards to the target",
        "move the puck towards the robot",
        "slide the object back",
    ),
    "push": (
        "push the puck to the goal",
        "push the object to the target",
        "slide the puck to the marked point",
        "move the puck across the table to the goal",
    ),
    "pick-place": (
        "pick up the puck and place it at the goal",
        "pick and place the puck",
        "lift the object and bring it to the target",
        "grasp the puck and carry it to the goal",
    ),
    "plate-slide": (
        "slide the plate into the cabinet",
        "push the plate into the goal",
        "slide the plate forward into the net",
        "push the disc forward into the cabinet",
    ),
    "plate-slide-side": (
        "slide the plate sideways into the cabinet",
        "push the plate to the side into the goal",
        "move the plate sideways",
        "slide the disc to the side into the net",
    ),
    "plate-slide-back": (
        "slide the plate back out of the cabinet",
        "pull the plate back towards the robot",
        "bring the plate back from the goal",
        "slide the disc backwards",
    ),
    "plate-slide-back-side": (
        "slide the plate back out of the cabinet sideways",
        "pull the plate sideways out of the goal",
        "move the plate out of the cabinet to the side",
        "bring the disc back sideways",
    ),
    "peg-unplug-side": (
        "unplug the peg from the hole",
        "pull the peg out sideways",
        "take the peg out of the side of the box",
        "remove the plug from the box",
    ),
    "soccer": (
        "kick the ball into the goal",
        "score a goal with the soccer ball",
        "push the ball into the goal",
        "roll the soccer ball into the net",
    ),
    "stick-push": (
        "push the container with the stick",
        "grasp the stick and push the thermos with it",
        "use the stick to push the box",
        "push the object using the blue stick",
    ),
    "stick-pull": (
        "pull the container with the stick",
        "grasp the stick and pull the thermos with it",
        "use the stick to pull the box",
        "hook the handle with the stick and pull",
    ),
    "push-wall": (
        "push the puck around the wall to the goal",
        "bypass the wall and push the puck to the target",
        "push the object past the wall",
        "slide the puck around the wall",
    ),
    "reach-wall": (
        "reach the goal past the wall",
        "move the hand around the wall to the target",
        "bypass the wall and reach the marked point",
        "bring the gripper to the goal behind the wall",
    ),
    "shelf-place": (
        "place the puck on the shelf",
        "pick up the cube and put it on the shelf",
        "put the object onto the shelf",
        "lift the block onto the shelf",
    ),
    "sweep-into": (
        "sweep the puck into the hole",
        "sweep the block into the hole of the table",
        "push the cube across the table into the hole",
        "slide the object into the hole",
    ),
    "sweep": (
        "sweep the puck off the table",
        "sweep the block to the edge of the table",
        "push the cube off the table",
        "wipe the object off the table",
    ),
    "window-open": (
        "open the window",
        "slide the window open",
        "push the window open by its handle",
        "slide the pane to open the window",
    ),
    "window-close": (
        "close the window",
        "slide the window shut",
        "push the window closed by its handle",
        "slide the pane to close the window",
    ),
}

HELD_OUT: dict[str, tuple[str, ...]] = {
    "assembly": (
        "fit the wrench's ring onto the peg",
        "place the nut around the peg",
        "slip the ring onto the upright peg",
    ),
    "basketball": (
        "score a basket",
        "take the ball and dunk it",
        "throw the basketball in the hoop",
    ),
    "bin-picking": (
        "grab the cube and drop it in the opposite bin",
        "put the block in the other container",
        "carry the cube over to the neighbouring bin",
    ),
    "box-close": (
        "place the cover on top of the box",
        "shut the box by putting its top on",
        "take the lid and close the box with it",
    ),
    "button-press": (
        "press the red button on the front",
        "push in the front button",
        "poke the button on the face of the box",
    ),
    "button-press-topdown": (
        "push the top button",
        "press the button on the top of the box",
        "from above, push the red button down",
    ),
    "button-press-topdown-wall": (
        "there is a wall: reach over it and press the button from above",
        "past the wall, push the top button downwards",
        "press the button on top of the box behind the wall",
    ),
    "button-press-wall": (
        "pass the wall and push in the button",
        "avoid the wall and press the front button",
        "press the button that is behind the wall",
    ),
    "coffee-button": (
        "make some coffee by pressing the button",
        "switch the coffee maker on",
        "press the coffee machine's start button",
    ),
    "coffee-pull": (
        "remove the mug from the coffee maker",
        "pull the cup off the coffee machine",
        "get the coffee cup out of the machine",
    ),
    "coffee-push": (
        "place the cup under the coffee maker",
        "push the cup into the coffee machine",
        "slide the mug beneath the coffee maker",
    ),
    "dial-turn": (
        "give the dial a turn",
        "twist the dial",
        "rotate the knob of the dial",
    ),
    "disassemble": (
        "pull the nut off the peg",
        "take the wrench's ring away from the peg",
        "lift the ring from the peg",
    ),
    "door-close": (
        "shut the door",
        "push the open door until it is closed",
        "make the door closed",
    ),
    "door-lock": (
        "turn the door's lock so that it is locked",
        "make the door locked",
        "lock up the door",
    ),
    "door-open": (
        "get the door open",
        "pull on the handle to open the door",
        "make the door open",
    ),
    "door-unlock": (
        "turn the door's lock so that it is unlocked",
        "make the door unlocked",
        "open the door's lock",
    ),
    "hand-insert": (
        "stick the hand in the hole",
        "bring the gripper down into the hole",
        "reach into the hole with the hand",
    ),
    "drawer-close": (
        "push the drawer in",
        "make the drawer closed",
        "push the open drawer until it is shut",
    ),
    "drawer-open": (
        "pull the drawer out",
        "make the drawer open",
        "grab the handle and open the drawer",
    ),
    "faucet-open": (
        "open up the faucet",
        "turn on the tap",
        "switch the faucet on so that water flows",
    ),
    "faucet-close": (
        "shut the faucet",
        "turn off the tap",
        "switch the faucet off so that no water flows",
    ),
    "hammer": (
        "take the hammer and drive in the nail",
        "hit the nail with the hammer",
        "knock the nail into the wood with the hammer",
    ),
    "handle-press-side": (
        "from the side, push the handle down",
        "press down on the side handle",
        "move the side handle downwards",
    ),
    "handle-press": (
        "press down on the handle",
        "move the handle downwards",
        "make the handle go down",
    ),
    "handle-pull-side": (
        "from the side, pull the handle up",
        "lift up the handle on the side",
        "move the side handle upwards",
    ),
    "handle-pull": (
        "lift up the handle",
        "move the handle upwards",
        "make the handle go up",
    ),
    "lever-pull": (
        "lift up the lever",
        "move the lever upwards",
        "pull up on the lever",
    ),
    "peg-insert-side": (
        "put the green peg in the hole of the box",
        "stick the peg in the hole from the side",
        "grasp the peg and slide it into the hole",
    ),
    "pick-place-wall": (
        "pick up the puck and bring it over the wall to the target",
        "move the puck to the goal on the other side of the wall",
        "lift the puck across the wall and put it at the goal",
    ),
    "pick-out-of-hole": (
        "remove the puck from the hole",
        "grab the object in the hole and lift it out",
        "pull the puck up out of its hole",
    ),
    "reach": (
        "go to the goal position with the hand",
        "touch the target point with the gripper",
        "move the arm so that the gripper is at the goal",
    ),
    "push-back": (
        "move the puck back to the target",
        "push the object towards the robot",
        "bring the block backwards to its goal",
    ),
    "push": (
        "shove the puck to the target",
        "move the object over the table to the goal by pushing",
        "push the puck until it is at the goal",
    ),
    "pick-place": (
        "pick up the object and put it at the target",
        "take the puck to the goal in the gripper",
        "grab the puck and move it to the goal",
    ),
    "plate-slide": (
        "push the plate forward into the cabinet",
        "slide the disc straight into the goal",
        "move the plate into the net in front",
    ),
    "plate-slide-side": (
        "push the plate sideways into the goal",
        "slide the disc sideways",
        "to the side, move the plate into the cabinet",
    ),
    "plate-slide-back": (
        "move the plate back out of the goal",
        "slide the plate towards the robot",
        "pull the disc back out of the cabinet",
    ),
    "plate-slide-back-side": (
        "slide the plate out of the goal to the side",
        "pull the disc out sideways",
        "get the plate back out of the cabinet by moving it sideways",
    ),
    "peg-unplug-side": (
        "pull the plug out of the box",
        "take out the peg from the hole",
        "unplug the peg sideways",
    ),
    "soccer": (
        "get the soccer ball into the goal",
        "shoot the ball in the goal",
        "play the football into the net",
    ),
    "stick-push": (
        "take the stick and push the thermos",
        "with the stick, push the container away",
        "push the bottle by means of the stick",
    ),
    "stick-pull": (
        "take the stick and pull the thermos",
        "with the stick, pull the container closer",
        "pull the bottle by means of the stick",
    ),
    "push-wall": (
        "move the puck past the wall to the goal by pushing",
        "push the puck to the target behind the wall",
        "shove the object around the wall",
    ),
    "reach-wall": (
        "go around the wall with the hand to the goal",
        "touch the target point behind the wall",
        "move the gripper past the wall to the goal",
    ),
    "shelf-place": (
        "put the cube on the shelf",
        "set the block down on the shelf",
        "pick up the puck and lay it onto the shelf",
    ),
    "sweep-into": (
        "push the puck into the hole",
        "brush the cube into the table's hole",
        "get the block into the hole by sweeping it",
    ),
    "sweep": (
        "brush the block off the table",
        "sweep the cube away from the table",
        "push the puck over the edge of the table",
    ),
    "window-open": (
        "get the window open",
        "slide open the window",
        "make the window open",
    ),
    "window-close": (
        "shut the window",
        "slide the window closed",
        "make the window closed",
    ),
}
