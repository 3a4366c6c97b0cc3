"""Roles that work on documents, and teams of them, as flows.

After MetaGPT (arXiv 2308.00352, §3): a role subscribes to the kinds of document that its works
consume; what it produces is published. A team goes in rounds. In a round, every role that has
something new reacts, all of them to what there was when the round began, so that neither the order
of roles nor timing decides anything; what they publish is delivered before the next round. A team
ends when a document of the wanted kind is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from enactive.actions.tools import Failure
from enactive.policies.agents.documents import Box, Bus, Document, Kind, kind_of
from enactive.policies.agents.flow import Flow, do, fail, gather, get, modify, put
from enactive.policies.agents.reactions import ByOrder, Mode
from enactive.policies.agents.record import Record
from enactive.policies.agents.works import MERGE, Inputs, TeamState, Work


@dataclass(frozen=True, kw_only=True, slots=True)
class Role:
    """A member of a team."""

    name: str
    works: tuple[Work, ...]
    goal: str = ""
    mode: Mode = field(default_factory=ByOrder)
    also_reads: tuple[Kind, ...] = ()
    """Kinds that it subscribes to beyond what its works consume."""
    addresses: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, "tuple[str, ...]"])
    """Kind that it produces -> roles that it is sent to instead of to all who subscribe."""

    @property
    def subscriptions(self) -> frozenset[str]:
        """Names of the kinds that it reads."""
        kinds = [kind for work in self.works for kind in work.consumes]
        return frozenset(map(kind_of, (*kinds, *self.also_reads)))

    def inputs(self, work: Work, box: Box) -> Inputs | None:
        """What a work consumes, or ``None`` if something is not there yet."""
        found = {kind_of(kind): box.latest(kind) for kind in work.consumes}
        there = {name: one for name, one in found.items() if one is not None}
        return there if len(there) == len(found) else None

    @do
    async def perform(self, work: Work, box: Box, goal: str = "", keep: bool = False) -> Box:
        """Do a work and publish what it gives.

        Args:
            work: one of the role's.
            box: what the role has read.
            goal: what a plan wants of it.
            keep: put what it gives into the box at once, if the role reads it; then it is no news
                to it in the next round.
        """
        inputs = self.inputs(work, box)
        assert inputs is not None
        document = await work.do(inputs, goal, "").named(work.name)
        if not isinstance(document, work.produces):
            wanted = " or ".join(map(kind_of, work.produces))
            message = f"{work.name} gave a {kind_of(document)}; it is declared to give {wanted}"
            await fail(Failure(kind="invalid", message=message))
        to = self.addresses.get(kind_of(document), ())

        def publish(state: TeamState) -> TeamState:
            bus = state.bus.publish(self.name, document, to)
            return replace(state, works=state.works + 1, bus=bus)

        await modify(publish)
        if not keep or to or kind_of(document) not in self.subscriptions:
            return box
        state: TeamState = await get()
        box = replace(box, kept=(*box.kept, state.bus.published[-1]))
        boxes = state.bus.boxes | {self.name: box}
        await put(replace(state, bus=replace(state.bus, boxes=boxes)))
        return box


@dataclass(frozen=True, kw_only=True, slots=True)
class Team:
    """Roles that hand documents over until one of the wanted kind is there.

    Raises:
        ValueError: two roles share a name, a role produces for a role that is not there, or nobody
            produces what a work consumes and nothing begins with it.
    """

    roles: tuple[Role, ...]
    begins_with: tuple[Kind, ...]
    """Kinds that the team is given."""
    wanted: Kind
    rounds: int = 20
    """At most."""
    completions: int | None = None
    """At most, of all roles together; ``None`` for no limit."""

    def __post_init__(self) -> None:
        names = [role.name for role in self.roles]
        if len(set(names)) < len(names):
            raise ValueError(f"Team: two roles share a name; got {names}")
        produced = {kind_of(k) for r in self.roles for w in r.works for k in w.produces}
        there = produced | {kind_of(kind) for kind in self.begins_with}
        for role in self.roles:
            for kind in sorted(role.subscriptions - there):
                raise ValueError(f"Team: {role.name} reads {kind}, which nobody produces")
            for one in sorted({to for to in role.addresses.values() for to in to} - set(names)):
                raise ValueError(f"Team: {role.name} writes to {one!r}, who is not there")
        if kind_of(self.wanted) not in there:
            raise ValueError(f"Team: nobody produces the wanted {kind_of(self.wanted)}")

    @property
    def state(self) -> TeamState:
        """Which :meth:`work` begins with."""
        names = [role.name for role in self.roles]
        return TeamState(
            bus=Bus.of(names), most=self.completions, read=Record(dict.fromkeys(names, 0))
        )

    def work(self, *given: Document) -> Flow[TeamState, Document]:
        """Work until a document of the wanted kind is there; the last of that kind. On the state of
        earlier work, the roles remember it, and a new document is wanted.

        The flow fails as the work that failed, with ``budget`` where :attr:`rounds` are over, and
        with ``error`` where nobody has anything new to read.
        """
        return _team(self, given)


@do
async def _team(team: Team, given: tuple[Document, ...]) -> Document:
    subscriptions = {role.name: role.subscriptions for role in team.roles}

    before = len((await get()).bus.published)

    def begin(state: TeamState) -> TeamState:
        bus = state.bus
        for document in given:
            bus = bus.publish("", document)
        return replace(state, bus=bus)

    def deliver(state: TeamState) -> TeamState:
        return replace(state, bus=state.bus.deliver(subscriptions))

    await modify(begin)
    for _ in range(team.rounds):
        await modify(deliver)
        state: TeamState = await get()
        documents = [one.document for one in state.bus.published[before + len(given) :]]
        found = [one for one in documents if isinstance(one, team.wanted)]
        if found:
            return found[-1]
        ready = [role for role in team.roles if state.bus.boxes[role.name].unread]
        if not ready:
            return await fail(f"the team came to rest without a {kind_of(team.wanted)}")
        await gather([_turn(role).named(role.name) for role in ready], merge=MERGE)
    return await fail(
        Failure(kind="budget", message=f"no {kind_of(team.wanted)} after {team.rounds} rounds")
    )


@do
async def _turn(role: Role) -> None:
    """Read what is new, and react to it."""
    state: TeamState = await get()
    box: Box = state.bus.boxes[role.name]
    news, box = box.unread, box.read()

    def read(state: TeamState) -> TeamState:
        boxes = state.bus.boxes | {role.name: box}
        counts = state.read | {role.name: state.read[role.name] + len(news)}
        return replace(state, bus=replace(state.bus, boxes=boxes), read=counts)

    await modify(read)
    await role.mode.react(role, news, box)
