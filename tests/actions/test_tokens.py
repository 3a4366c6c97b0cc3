"""Tokens and chains: frozen values that are the same bytes wherever they are written."""

import json
import math
import multiprocessing
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays, floating_dtypes, integer_dtypes
from numpy.testing import assert_array_equal

from enactive.actions.chain import Chain
from enactive.actions.decision import Cost, Decision
from enactive.actions.tokens import KINDS, ActionToken

words = st.text(max_size=20)
names = st.text(min_size=1, max_size=8)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
array_values = st.one_of(
    arrays(floating_dtypes(), array_shapes(max_dims=3, max_side=4)),
    arrays(integer_dtypes(), array_shapes(max_dims=2, max_side=4)),
    arrays(np.bool_, array_shapes(max_dims=2, max_side=4)),
    arrays(np.float32, st.sampled_from([(0, 4), ()])),
)


@st.composite
def contents(draw, kind):
    if kind in ("reasoning", "language", "code"):
        return draw(words)
    if kind in ("trajectory", "latent"):
        return draw(array_values)
    return draw(words | json_values | array_values)


@st.composite
def tokens(draw, id=names, parents=()):
    kind = draw(st.sampled_from(KINDS))
    return ActionToken(
        id=draw(id) if not isinstance(id, str) else id, kind=kind, content=draw(contents(kind)),
        parents=tuple(parents), source=draw(names), imagined=draw(st.booleans()),
        score=draw(st.none() | st.floats(allow_nan=False, allow_infinity=False)),
        chosen=draw(st.booleans()))  # fmt: skip


@st.composite
def chains(draw):
    built: list[ActionToken] = []
    for i in range(draw(st.integers(1, 5))):
        ids = [token.id for token in built]
        parents = draw(st.lists(st.sampled_from(ids), unique=True, max_size=3)) if ids else []
        built.append(draw(tokens(id=f"t{i}", parents=parents)))
    return Chain(tuple(built))


@given(tokens())
def test_tokens_survive_bytes_and_json(token):
    for again in (
        ActionToken.from_bytes(token.to_bytes()),
        ActionToken.from_json(token.to_json()),
        ActionToken.from_json(json.dumps(json.loads(token.to_json()))),
    ):
        assert again == token
        assert hash(again) == hash(token)
        assert again.to_bytes() == token.to_bytes()
        assert again.hash == token.hash
        if isinstance(token.content, np.ndarray):
            assert again.content.dtype == token.content.dtype
            assert again.content.shape == token.content.shape
            assert_array_equal(again.content, token.content)
        else:
            assert type(again.content) is type(token.content)


@given(chains())
def test_chains_survive_bytes_and_json(chain):
    assert Chain.from_bytes(chain.to_bytes()) == chain
    assert Chain.from_json(chain.to_json()) == chain
    assert Chain.from_bytes(chain.to_bytes()).hash == chain.hash


@given(tokens(), tokens())
def test_equal_hashes_are_equal_tokens(one, other):
    assert (one == other) == (one.hash == other.hash)


@given(tokens())
def test_every_field_is_in_the_hash(token):
    import dataclasses

    for change in (
        {"id": token.id + "'"},
        {"source": token.source + "'"},
        {"imagined": not token.imagined},
        {"chosen": not token.chosen},
        {"score": 1.0 if token.score != 1.0 else 2.0},
        {"parents": ("other",)},
    ):
        other = dataclasses.replace(token, **change)
        assert other != token and other.hash != token.hash
        assert other.content_hash == token.content_hash


def test_the_hash_of_a_content_sees_dtype_shape_and_bits():
    def content_hash(value):
        return ActionToken(id="a", kind="raw", content=value, source="s").content_hash

    base = np.zeros((2, 3), np.float32)
    different = [base.astype(np.float64), base.reshape(3, 2), base + 1, -base, [0, 0], 0, 0.0, "0",
                 None, False, {"a": 0}, {"a": 0.0}, np.zeros((2, 3), np.int32)]  # fmt: skip
    hashes = [content_hash(value) for value in [base, *different]]
    assert len(set(hashes)) == len(hashes)
    # Memory layout, byte order and the order of keys are not content.
    assert content_hash(np.asfortranarray(base)) == content_hash(base.astype(">f4")) == hashes[0]
    assert content_hash({"a": 1, "b": 2}) == content_hash({"b": 2, "a": 1})


def test_the_written_form_is_fixed():
    # Recorded episodes name chains by these hashes: a change here orphans them.
    chain = Chain((
        ActionToken(id="why", kind="reasoning", content="the handle is left", source="lm"),
        ActionToken(id="raw", kind="raw", content=np.arange(4, dtype=np.float32)[None],
                    parents=("why",), source="head", score=0.5),
    ))  # fmt: skip
    assert chain.hash == "211526d21621ee63d6b8731b1b7c5930"
    code = (
        "import numpy as np; from enactive.actions.chain import Chain; "
        "print(Chain.raw(np.arange(4, dtype=np.float32)[None], source='head').hash)"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    here = Chain.raw(np.arange(4, dtype=np.float32)[None], source="head")
    assert other.stdout.strip() == here.hash


def test_contents_are_frozen_copies():
    array = np.zeros((2, 4), np.float32)
    nested = {"points": [[1, 2], [3, 4]]}
    token = ActionToken(id="a", kind="raw", content=array, source="s")
    mapped = ActionToken(id="a", kind="goal", content=nested, source="s")
    before = token.hash, mapped.hash
    array[0, 0] = 5
    nested["points"][0][0] = 9
    assert (token.hash, mapped.hash) == before
    with pytest.raises(ValueError, match="read-only"):
        token.content[0, 0] = 1
    with pytest.raises(TypeError):
        mapped.content["points"] = ()
    assert mapped.content["points"] == ((1, 2), (3, 4))
    scalar = ActionToken(id="a", kind="raw", content={"x": np.float32(0.5)}, source="s")
    assert type(scalar.content["x"]) is float
    with pytest.raises(AttributeError):
        token.id = "b"  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"id": ""}, "id must be"),
        ({"source": ""}, "source must be"),
        ({"kind": "rew"}, "kind is 'rew'; did you mean 'raw'"),
        ({"kind": "language", "content": 3}, "content of a language token must be a string"),
        ({"kind": "latent", "content": [1.0]}, "content of a latent token must be an array"),
        ({"parents": "raw"}, "give a tuple"),
        ({"score": math.nan}, "score is nan"),
        ({"content": math.inf}, "content is inf"),
        ({"content": {"a": [1, {2: 3}]}}, r"content.a\[1\] has the key 2"),
        ({"content": {"a": np.zeros(2)}}, "content.a is an array inside a JSON value"),
        ({"content": {1, 2}}, "content is a set"),
        ({"content": 2**70}, "beyond 64 bits"),
        ({"content": "\ud800"}, "not valid Unicode"),
        ({"content": np.array(["a"])}, "dtype <U1"),
        ({"content": np.array([object()])}, "dtype object"),
        ({"content": np.zeros(2, np.longdouble)}, "dtype float128"),
    ],
)
def test_wrong_fields_are_refused_by_name(fields, message):
    good = {"id": "a", "kind": "raw", "content": 1, "source": "s"}
    with pytest.raises(ValueError, match=message):
        ActionToken(**{**good, **fields})


def test_what_is_no_token_is_refused():
    token = ActionToken(id="a", kind="raw", content=np.zeros(2), source="s")
    with pytest.raises(ValueError, match="msgpack"):
        ActionToken.from_bytes(token.to_bytes()[:-3])
    with pytest.raises(ValueError, match="msgpack"):
        ActionToken.from_bytes(token.to_bytes() + b"x")
    with pytest.raises(ValueError, match=r"unknown fields \['colour'\], missing fields \['id'\]"):
        data = token.to_dict(text=True)
        del data["id"]
        ActionToken.from_dict({**data, "colour": 1})
    with pytest.raises(ValueError, match="dtype object"):
        data = token.to_dict(text=False)
        data["content"] = {**data["content"], "dtype": "|O"}
        ActionToken.from_dict(data)
    with pytest.raises(ValueError, match="a record is a mapping"):
        Chain.from_bytes(b"\x93\x01\x02\x03")
    with pytest.raises(ValueError, match="format is 2"):
        Chain.from_json('{"format": 2, "tokens": []}')


def token(id, kind="raw", content=0, parents=(), **fields):
    return ActionToken(id=id, kind=kind, content=content, parents=parents, source="s", **fields)


class TestChain:
    def test_parents_come_first_so_there_is_no_cycle(self):
        with pytest.raises(ValueError, match="'a' comes before its parent 'b'; put parents first"):
            Chain((token("a", parents=("b",)), token("b", parents=("a",))))
        with pytest.raises(ValueError, match="'a' comes before its parent 'a'"):
            Chain((token("a", parents=("a",)),))
        with pytest.raises(ValueError, match="did you mean 'plan'"):
            Chain((token("plan"), token("b", parents=("plam",))))
        with pytest.raises(ValueError, match="two tokens are called 'a'"):
            Chain((token("a"), token("a")))
        with pytest.raises(ValueError, match="tokens is empty"):
            Chain(())

    @settings(max_examples=50)
    @given(chains(), st.randoms(use_true_random=False))
    def test_any_order_is_valid_exactly_if_parents_come_first(self, chain, random):
        shuffled = list(chain.tokens)
        random.shuffle(shuffled)
        place = {token.id: i for i, token in enumerate(shuffled)}
        valid = all(place[p] < place[t.id] for t in shuffled for p in t.parents)
        if valid:
            assert len(Chain(tuple(shuffled)).tokens) == len(shuffled)
        else:
            with pytest.raises(ValueError, match="put parents first"):
                Chain(tuple(shuffled))

    @settings(max_examples=50)
    @given(chains())
    def test_ancestors_are_the_transitive_parents(self, chain):
        def walk(id):
            above = set(chain.token(id).parents)
            return above.union(*(walk(p) for p in above)) if above else above

        for each in chain.tokens:
            found = chain.ancestors(each.id)
            assert {a.id for a in found} == walk(each.id)
            assert list(found) == [t for t in chain.tokens if t in found]

    def test_the_final_token_is_the_chosen_raw_one(self):
        plan = token("plan", "language", "open it")
        losers = [token(f"c{i}", parents=("plan",), score=i, chosen=False) for i in range(2)]
        best = token("c2", parents=("plan",), score=2.0)
        chain = Chain((plan, losers[0], best, losers[1]))
        assert chain.final is best
        assert chain.of_kind("raw") == (losers[0], best, losers[1])
        assert chain.of_kind("raw", chosen=False) == tuple(losers)
        assert chain.of_kind("raw", chosen=True) == (best,)
        assert Chain((plan, token("p", "code", "go()"))).final.id == "p"
        for chain in (Chain((plan,)), Chain((plan, losers[0]))):
            with pytest.raises(LookupError, match="nothing to execute"):
                chain.final

    def test_raw_holds_the_chunk(self):
        chunk = np.ones((16, 4), np.float32)
        chain = Chain.raw(chunk, source="bc")
        assert_array_equal(chain.final.array, chunk)
        assert chain.final.source == "bc"
        grown = chain.then(token("note", "language", "done"))
        assert grown.final is chain.final and len(chain.tokens) == 1
        with pytest.raises(KeyError, match="did you mean 'note'"):
            grown.token("nota")
        with pytest.raises(TypeError, match="no array"):
            grown.token("note").array

    def test_it_prints_what_happened(self):
        chain = Chain((
            token("goal", "goal", np.zeros((8, 8, 3), np.uint8), imagined=True),
            token("raw", content=np.zeros((16, 4), np.float32), parents=("goal",), score=0.25),
            token("lost", content={"x": "y" * 100}, chosen=False),
        ))  # fmt: skip
        assert repr(chain).splitlines()[:3] == [
            "Chain",
            "  goal: goal uint8 (8, 8, 3) by s (imagined)",
            "  raw: raw float32 (16, 4) by s <- goal (score=0.25)",
        ]
        assert "not chosen" in repr(chain) and len(repr(chain)) < 300


def _hash_of(chain):
    return chain.hash


def test_chains_pass_between_processes():
    chain = Chain((token("a", "goal", {"nested": [1, {"b": 2.5}]}), token("r", parents=("a",))))
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(_hash_of, (chain,)) == chain.hash


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 99)), max_size=5))
def test_costs_add(parts):
    costs = [Cost(backbone_passes=b, head_passes=h, tokens=t, milliseconds=0.5 * t)
             for b, h, t in parts]  # fmt: skip
    total = sum(costs, Cost())
    assert total.backbone_passes == sum(b for b, _, _ in parts)
    assert total.head_passes == sum(h for _, h, _ in parts)
    assert total.tokens == sum(t for *_, t in parts)
    assert total.milliseconds == 0.5 * total.tokens
    assert Cost(**total.to_dict()) == total


def test_a_decision_without_a_chain_costs_nothing():
    decision = Decision(action=np.zeros(4, np.float32))
    assert decision.chain is None and decision.memory is None and decision.cost == Cost()


def test_importing_actions_loads_no_scipy_and_no_torch():
    code = (
        "import sys, enactive.actions.spaces, enactive.actions.chain, "
        "enactive.actions.decision, enactive.actions.compare, enactive.actions.digital; "
        "print([m for m in ('scipy', 'torch') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
