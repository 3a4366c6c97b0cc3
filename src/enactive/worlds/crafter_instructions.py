"""What a policy is told in Crafter, which has no language of its own.

Achievement to its wordings; the first is canonical. ``HELD_OUT`` is for evaluation only.
"""

from __future__ import annotations

TRAINING: dict[str, tuple[str, ...]] = {
    "collect_coal": ("collect coal", "mine some coal"),
    "collect_diamond": ("collect a diamond", "mine a diamond"),
    "collect_drink": ("drink water", "go to the water and drink"),
    "collect_iron": ("collect iron", "mine some iron"),
    "collect_sapling": ("collect a sapling", "take a sapling from the grass"),
    "collect_stone": ("collect stone", "mine some stone"),
    "collect_wood": ("collect wood", "chop a tree for wood"),
    "defeat_skeleton": ("defeat a skeleton", "fight a skeleton and win"),
    "defeat_zombie": ("defeat a zombie", "fight a zombie and win"),
    "eat_cow": ("eat a cow", "find a cow and eat it"),
    "eat_plant": ("eat a ripe plant", "grow a plant and eat it"),
    "make_iron_pickaxe": ("make an iron pickaxe", "craft an iron pickaxe"),
    "make_iron_sword": ("make an iron sword", "craft an iron sword"),
    "make_stone_pickaxe": ("make a stone pickaxe", "craft a stone pickaxe"),
    "make_stone_sword": ("make a stone sword", "craft a stone sword"),
    "make_wood_pickaxe": ("make a wooden pickaxe", "craft a wooden pickaxe"),
    "make_wood_sword": ("make a wooden sword", "craft a wooden sword"),
    "place_furnace": ("place a furnace", "put a furnace down"),
    "place_plant": ("plant a sapling", "put a sapling into the grass"),
    "place_stone": ("place a stone", "put a stone down"),
    "place_table": ("place a table", "put a table down"),
    "wake_up": ("sleep and wake up", "go to sleep until you wake up"),
}

HELD_OUT: dict[str, tuple[str, ...]] = {
    "collect_coal": ("dig coal out of the rock", "get hold of coal"),
    "collect_diamond": ("dig out a diamond", "get hold of a diamond"),
    "collect_drink": ("quench your thirst", "have a drink at the lake"),
    "collect_iron": ("dig iron out of the rock", "get hold of iron"),
    "collect_sapling": ("search the grass for a sapling", "get hold of a young tree"),
    "collect_stone": ("dig stone out of the rock", "get hold of a stone"),
    "collect_wood": ("gather timber", "get hold of wood from a tree"),
    "defeat_skeleton": ("beat a skeleton", "get rid of a skeleton"),
    "defeat_zombie": ("beat a zombie", "get rid of a zombie"),
    "eat_cow": ("have beef for dinner", "still your hunger with a cow"),
    "eat_plant": ("harvest a plant for food", "still your hunger with what you planted"),
    "make_iron_pickaxe": ("build a pickaxe of iron", "get hold of a pickaxe made from iron"),
    "make_iron_sword": ("forge a sword of iron", "get hold of a sword made from iron"),
    "make_stone_pickaxe": ("build a pickaxe of stone", "get hold of a pickaxe made from stone"),
    "make_stone_sword": ("build a sword of stone", "get hold of a sword made from stone"),
    "make_wood_pickaxe": ("build a pickaxe of wood", "get hold of a pickaxe made from wood"),
    "make_wood_sword": ("build a sword of wood", "get hold of a sword made from wood"),
    "place_furnace": ("set up a furnace", "build a place to smelt in"),
    "place_plant": ("set a young tree", "let a sapling grow in the ground"),
    "place_stone": ("set a stone in front of you", "block the way with a stone"),
    "place_table": ("set up a workbench", "build a table"),
    "wake_up": ("take a rest until you are no longer tired", "have a nap"),
}
