"""Every rule on tensor names tells its own models and none of the others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelcellar.formats.classify import classify
from modelcellar.formats.classify.names import Pattern, TensorNames, fold
from modelcellar.formats.classify.rules import load_rules
from modelcellar.formats.classify.tensors import PART_TYPES
from modelcellar.formats.reading import Reading
from modelcellar.records import FileFormat, ModelType, Tensor
from tests.core.formats.classify.fixtures import (
    FIXTURES,
    UNKNOWN,
    Fixture,
    reading_of,
)


def values(reading: Reading) -> dict[str, object]:
    return {name: finding.value for name, finding in classify([reading]).items()}


@pytest.mark.parametrize("fixture", FIXTURES, ids=str)
def test_model_is_told(fixture: Fixture) -> None:
    found = classify([reading_of(fixture.tensors, fixture.metadata)])
    told = {name: found[name].value for name in ("type", "family", "kind") if name in found}
    wanted = {"type": fixture.type, "family": fixture.family, "kind": fixture.kind}
    assert told == {name: value for name, value in wanted.items() if value is not None}
    if fixture.rule is not None:
        assert any(f"[{fixture.rule}]" in finding.evidence for finding in found.values())


def test_every_rule_has_a_fixture() -> None:
    assert {rule.name for rule in load_rules()} == {one.rule for one in FIXTURES if one.rule}
    assert len(FIXTURES) >= 60
    assert {one.type for one in FIXTURES} >= {
        *("checkpoint", "diffusion_model", "lora", "vae", "controlnet", "ip_adapter", "embedding"),
        *("text_encoder", "clip_vision", "upscaler", "llm", "vision", "audio", "other"),
    }


def test_rules_are_well_made() -> None:
    rules = load_rules()
    assert len({rule.name for rule in rules}) == len(rules)
    assert {rule.part for rule in rules} == {*PART_TYPES, "lora"}
    for rule in rules:
        assert rule.needs or rule.any, rule.name
        assert rule.says
        if "type" in rule.gives:
            ModelType(rule.gives["type"])


@pytest.mark.parametrize("rule", [rule.name for rule in load_rules() if rule.needs])
def test_rule_needs_all_it_asks_for(rule: str) -> None:
    """Without any one of the tensors it needs, a rule no longer holds."""
    [wanted] = [one for one in load_rules() if one.name == rule]
    fixture = next(one for one in FIXTURES if one.rule == rule)
    if fixture.type == "lora":
        return  # Those are asked about modules; see test_adapters.
    names = TensorNames(reading_of(fixture.tensors).tensors)
    prefix = wanted.prefix_in(names, fixture.metadata)
    assert prefix is not None
    for pattern in wanted.needs:
        left = [
            tensor
            for tensor in reading_of(fixture.tensors).tensors
            if not TensorNames([tensor]).has(pattern, prefix)
        ]
        rest = TensorNames(left)
        assert not any(wanted._holds(rest, other) for other in (prefix,)), pattern


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_cannot_be_told_is_left_out(name: str) -> None:
    assert "type" not in values(reading_of(UNKNOWN[name]))


def test_one_tensor_more_changes_no_type() -> None:
    """What a model holds besides does not make it another one."""
    for fixture in FIXTURES:
        text = fixture.tensors + "\nsome.unheard.of.tensor 7x7"
        assert values(reading_of(text, fixture.metadata))["type"] == fixture.type, fixture


def test_parts_of_a_split_model_are_judged_together() -> None:
    fixture = next(one for one in FIXTURES if one.name == "SDXL base")
    lines = [line for line in fixture.tensors.splitlines() if line.strip()]
    readings = [reading_of("\n".join(lines[at::2])) for at in range(2)]
    assert classify(readings)["type"].value == "checkpoint"


class TestPattern:
    @pytest.mark.parametrize(
        ("pattern", "name", "shape", "fits"),
        [
            ("a.weight", "a.weight", (1,), True),
            ("a.weight", "b.a.weight", (1,), False),
            ("a.#.weight", "a.12.weight", (1,), True),
            ("a.#.weight", "a.x.weight", (1,), False),
            ("a.0.weight", "a.1.weight", (1,), False),
            ("a1.#.weight", "a2.0.weight", (1,), False),
            ("a_#_b", "a_3_b", (1,), True),
            ("a.weight [*, 768]", "a.weight", (320, 768), True),
            ("a.weight [*, 768]", "a.weight", (320, 1024), False),
            ("a.weight [*, 768]", "a.weight", (768,), False),
            ("a.weight [4|16]", "a.weight", (16,), True),
            ("a.weight [4|16]", "a.weight", (8,), False),
            ("a*to_k", "a.b_0.to_k", (1,), True),
            ("a*to_k", "b.to_k", (1,), False),
        ],
    )
    def test_fits(self, pattern: str, name: str, shape: tuple[int, ...], fits: bool) -> None:
        assert TensorNames([Tensor(name, "F16", shape)]).has(Pattern.parse(pattern)) is fits

    def test_is_refused_where_it_is_none(self) -> None:
        with pytest.raises(ValueError, match="no shape"):
            Pattern.parse("a [1")

    @given(st.lists(st.text("ab.0_1/2\n", max_size=12), unique=True))
    def test_names_are_folded_one_by_one(self, names: list[str]) -> None:
        found = TensorNames(Tensor(name, "F16", ()) for name in names)
        assert set(found.folded) == {fold(name) for name in names}


names = st.text(max_size=30) | st.sampled_from(
    [
        line.strip().rpartition(" ")[0]
        for one in FIXTURES
        for line in one.tensors.strip().splitlines()
    ]
)
shapes = st.lists(st.integers(0, 2**40), max_size=5).map(tuple)
tensors = st.builds(Tensor, names, st.sampled_from(["F16", "F32", "I8", "U8", "x"]), shapes)
scalars = st.dictionaries(names, st.floats(allow_nan=False, allow_infinity=False), max_size=3)
metadata = st.dictionaries(
    st.text(max_size=8)
    | st.sampled_from(["ss_tag_frequency", "ss_network_dim", "modelspec.architecture"]),
    st.text(max_size=40) | st.sampled_from(['{"a": {"b": 1}}', "[", "sdxl", "1e999", "nan"]),
    max_size=4,
)


@given(st.lists(tensors, max_size=12), scalars, metadata)
def test_nothing_makes_it_fail(
    found: list[Tensor], values: dict[str, float], header: dict[str, str]
) -> None:
    reading = Reading(FileFormat.SAFETENSORS, tensors=tuple(found), metadata=header, scalars=values)
    for finding in classify([reading]).values():
        assert finding.evidence
