"""What a scene looks like and how it answers: cameras, light, surfaces, dynamics."""

from __future__ import annotations

from dataclasses import dataclass

from enactive.seeding import numpy_generator

Colour = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class CameraSetting:
    """How cameras differ from where they stand in training."""

    turn: float = 0.0
    """About the vertical through the table's middle, degrees."""
    tilt: float = 0.0
    """Added to the elevation of the line of sight, degrees."""
    distance: float = 1.0
    """Factor of the distance from the table's middle."""
    field_of_view: float = 0.0
    """Added to the vertical field of view, degrees; of the camera on the hand too."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LightSetting:
    """The lamp over the table and the light from everywhere."""

    colour: Colour = (0.55, 0.55, 0.55)
    """Of the lamp, diffuse."""
    ambient: Colour = (0.40, 0.40, 0.40)
    """From everywhere."""
    position: tuple[float, float, float] = (0.3, -0.6, 1.6)
    """Of the lamp, m; it shines at the table's middle."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Surfaces:
    """What the table and the floor look like: ``flat`` or with a pattern of two colours."""

    table: Colour = (0.72, 0.60, 0.45)
    table_pattern: Colour | None = None
    """Second colour of a checkered table."""
    floor: Colour = (0.35, 0.38, 0.42)
    floor_pattern: Colour | None = None
    """Second colour of a floor with large squares."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Dynamics:
    """Factors of physical properties."""

    mass: float = 1.0
    """Of movable objects."""
    friction: float = 1.0
    """Of everything."""
    gain: float = 1.0
    """Of the arm's position controllers."""


def camera_setting(level: str | None, seed: int) -> CameraSetting:
    """The cameras of an episode under a level of the axis ``camera``."""
    if level is None:
        return CameraSetting()
    draw = numpy_generator(seed, "tabletop", level)
    side = 1.0 if draw.random() < 0.5 else -1.0
    if level == "camera-1":
        return CameraSetting(
            turn=float(side * draw.uniform(3.0, 8.0)), tilt=float(draw.uniform(-4.0, 4.0))
        )
    return CameraSetting(
        turn=float(side * draw.uniform(15.0, 25.0)),
        tilt=float(draw.uniform(-8.0, 8.0)),
        distance=float(draw.uniform(1.1, 1.25)),
        field_of_view=float(draw.uniform(4.0, 8.0)),
    )


def light_setting(level: str | None, seed: int) -> LightSetting:
    """The light of an episode under a level of the axis ``light``."""
    if level is None:
        return LightSetting()
    draw = numpy_generator(seed, "tabletop", level)
    side = 1.0 if draw.random() < 0.5 else -1.0
    if level == "light-1":
        return LightSetting(
            colour=(0.28, 0.28, 0.28), ambient=(0.20, 0.20, 0.20),
            position=(float(side * draw.uniform(0.6, 1.0)), 0.4, 1.4),
        )  # fmt: skip
    tints: tuple[Colour, ...] = ((0.9, 0.6, 0.35), (0.4, 0.6, 0.9), (0.5, 0.85, 0.5))
    return LightSetting(
        colour=tints[draw.integers(len(tints))], ambient=(0.25, 0.25, 0.25),
        position=(float(side * draw.uniform(1.0, 1.4)), -0.2, 0.7),
    )  # fmt: skip


def surfaces(level: str | None, seed: int) -> Surfaces:
    """Table and floor of an episode under a level of the axis ``texture``."""
    if level is None:
        return Surfaces()
    draw = numpy_generator(seed, "tabletop", level)
    if level == "texture-1":
        tables: tuple[Colour, ...] = ((0.30, 0.33, 0.30), (0.80, 0.82, 0.85), (0.25, 0.30, 0.42))
        floors: tuple[Colour, ...] = ((0.60, 0.50, 0.42), (0.18, 0.18, 0.20), (0.55, 0.60, 0.55))
        return Surfaces(table=tables[draw.integers(3)], floor=floors[draw.integers(3)])
    dark, light = draw.uniform(0.15, 0.4, 3), draw.uniform(0.6, 0.9, 3)
    first, second = _colour(dark), _colour(light)
    return Surfaces(table=second, table_pattern=first, floor=first, floor_pattern=second)


def _colour(values: object) -> Colour:
    red, green, blue = (float(value) for value in values)  # type: ignore[attr-defined]
    return (red, green, blue)


_DYNAMICS = {
    "dynamics-1": Dynamics(mass=3.0),
    "dynamics-2": Dynamics(friction=1.0 / 3.0),
    "dynamics-3": Dynamics(gain=0.4),
}


def dynamics(level: str | None) -> Dynamics:
    """The physics of an episode under a level of the axis ``dynamics``."""
    return Dynamics() if level is None else _DYNAMICS[level]
