"""Which rule wins, told by hand and by an oracle that tries all of them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelcellar.link_records import App, LinkKind
from modelcellar.links.place import Place
from modelcellar.links.preset_values import ANY_TYPE, Preset, Rule, Shape, Unit
from modelcellar.links.rules import Rules, Spot, weight_of
from modelcellar.records import Finding, ModelRecord, ModelType

TAGS = "abc"


def model(
    model_type: ModelType = ModelType.LORA, *, tags: Sequence[str] = (), kind: str = ""
) -> ModelRecord:
    findings = {"kind": Finding(kind, "x")} if kind else {}
    name = f"{model_type}-{''.join(tags)}"
    return ModelRecord(name, name, (), "2030", type=model_type, tags=tuple(tags), findings=findings)


def folder_of(
    preset: Preset,
    one: ModelRecord,
    *,
    shape: Shape = Shape.SINGLE,
    folders: Mapping[str, str] | None = None,
) -> str | None:
    """Where a model goes; None for nowhere. Queries are ``tag:x`` and ``type:x``."""

    def find(query: str) -> list[str]:
        words = query.split()
        tags = {word.removeprefix("tag:") for word in words if word.startswith("tag:")}
        types = {word.removeprefix("type:") for word in words if word.startswith("type:")}
        fits = tags <= set(one.tags) and types <= {one.type.value}
        return [one.id] if fits else []

    app = App("app", "x", Path("/app"), folders=folders or {})
    spot = Rules(app, preset, Place(Path("/library"), find)).spot(one, shape)
    return spot.folder if isinstance(spot, Spot) else None


PRESET = Preset(
    "x",
    "X",
    folders={"lora": "loras", "vae": "vae", ANY_TYPE: "rest"},
    rules=(
        Rule("a", "type:lora tag:a"),
        Rule("", "type:lora tag:a tag:b"),
        Rule("tiny", "type:vae", kind="tiny VAE"),
        Rule("sets", shapes=(Shape.SET,)),
    ),
)


@pytest.mark.parametrize(
    ("one", "folder"),
    [
        (model(), "loras"),
        (model(tags="b"), "loras"),
        (model(tags="a"), "a"),
        (model(tags="ab"), None),
        (model(ModelType.VAE), "vae"),
        (model(ModelType.VAE, kind="Tiny vae"), "tiny"),
        (model(ModelType.VAE, kind="audio VAE"), "vae"),
        (model(ModelType.LLM, kind="tiny VAE"), "rest"),
    ],
)
def test_the_specific_wins_and_can_take_away(one: ModelRecord, folder: str | None) -> None:
    assert folder_of(PRESET, one) == folder


def test_among_equals_a_rule_wins_over_a_folder_and_a_later_over_an_earlier_rule() -> None:
    assert folder_of(PRESET, model(), shape=Shape.SET) == "sets"
    later = replace(PRESET, rules=(*PRESET.rules, Rule("later", "tag:a type:lora")))
    assert folder_of(later, model(tags="a")) == "later"


def test_what_an_app_says_about_a_type_wins_over_all() -> None:
    for tags in ("", "a", "ab"):
        assert folder_of(PRESET, model(tags=tags), folders={"lora": "mine"}) == "mine"
        assert folder_of(PRESET, model(tags=tags), folders={"lora": ""}) is None
    assert folder_of(PRESET, model(ModelType.VAE), folders={"lora": "mine"}) == "vae"


def test_a_type_without_a_folder() -> None:
    preset = replace(PRESET, folders={"lora": "loras"}, rules=())
    assert folder_of(preset, model(ModelType.LLM)) is None
    assert folder_of(preset, model(ModelType.LLM), folders={"llm": "llms"}) == "llms"


def test_shapes_that_the_application_cannot_load() -> None:
    preset = replace(PRESET, shapes=(Shape.SINGLE,))
    assert folder_of(preset, model(), shape=Shape.FOLDER) is None
    # A rule that names them says that it can.
    assert folder_of(preset, model(), shape=Shape.SET) == "sets"


def test_unit_and_extensions_of_the_most_specific_that_says_so() -> None:
    preset = replace(
        PRESET,
        units={"lora": Unit.FOLDER, ANY_TYPE: Unit.FILE},
        extensions=(".a",),
        takes={"vae": (".b",)},
        rules=(Rule("c", "type:vae tag:c", extensions=(".c",), unit=Unit.FOLDER),),
    )

    def spot(one: ModelRecord) -> Spot | str:
        app = App("app", "x", Path("/app"), LinkKind.COPY)
        place = Place(Path("/library"), lambda _: [one.id] if "c" in one.tags else [])
        return Rules(app, preset, place).spot(one, Shape.SINGLE)

    assert spot(model()) == Spot("loras", Unit.FOLDER, (".a",))
    assert spot(model(ModelType.LLM)) == Spot("rest", Unit.FILE, (".a",))
    assert spot(model(ModelType.VAE)) == Spot("vae", Unit.FILE, (".b",))
    assert spot(model(ModelType.VAE, tags="c")) == Spot("c", Unit.FOLDER, (".c",))


@pytest.mark.parametrize(
    ("rule", "weight"),
    [
        (Rule("x", "type:lora"), 1),
        (Rule("x", "type:lora,vae"), 1),
        (Rule("x", 'type:lora base:"SD 1.5" -anime'), 3),
        (Rule("x", "flux dev", kind="x", shapes=(Shape.SET, Shape.SINGLE)), 4),
        (Rule("x", kind="x"), 1),
    ],
)
def test_every_condition_counts_one(rule: Rule, weight: int) -> None:
    assert weight_of(rule) == weight


UNHURRIED = settings(deadline=None)
"""A busy machine makes no example wrong."""

FOLDERS = st.dictionaries(
    st.sampled_from(["lora", "vae", ANY_TYPE]), st.sampled_from(["", "f1", "f2"]), max_size=3
)
CONDITIONS = st.lists(
    st.sampled_from(["tag:a", "tag:b", "tag:c", "type:lora", "type:vae"]), min_size=1, unique=True
)
RULES = st.lists(
    st.builds(
        lambda folder, words: Rule(folder, " ".join(words)),
        st.sampled_from(["", "r1", "r2", "r3"]),
        CONDITIONS,
    ),
    max_size=6,
)
MODELS = st.builds(
    lambda model_type, tags: model(model_type, tags=sorted(tags)),
    st.sampled_from([ModelType.LORA, ModelType.VAE, ModelType.LLM]),
    st.sets(st.sampled_from(TAGS)),
)


def by_hand(preset: Preset, one: ModelRecord) -> str | None:
    """All that fits, in the order of the contract; the last one says where."""
    said: list[tuple[int, int, str]] = []
    for key, weight in ((ANY_TYPE, 0), (one.type.value, 1)):
        if key in preset.folders:
            said.append((weight, -1, preset.folders[key]))
    truths = {f"tag:{tag}" for tag in one.tags} | {f"type:{one.type.value}"}
    for number, rule in enumerate(preset.rules):
        words = rule.when.split()
        if set(words) <= truths:
            said.append((len(words), number, rule.folder))
    return max(said)[2] or None if said else None


@UNHURRIED
@given(FOLDERS, RULES, MODELS)
def test_as_an_oracle_says(folders: dict[str, str], rules: list[Rule], one: ModelRecord) -> None:
    preset = Preset("x", "X", folders=folders, rules=tuple(rules))
    assert folder_of(preset, one) == by_hand(preset, one)


@UNHURRIED
@given(FOLDERS, RULES, MODELS)
def test_only_among_equals_does_the_order_matter(
    folders: dict[str, str], rules: list[Rule], one: ModelRecord
) -> None:
    by_weight: dict[int, list[Rule]] = {}
    for rule in rules:
        by_weight.setdefault(weight_of(rule), []).append(rule)
    weights = sorted(by_weight)
    shuffled = [rule for weight in reversed(weights) for rule in by_weight[weight]]
    one_order = Preset("x", "X", folders=folders, rules=tuple(rules))
    assert folder_of(replace(one_order, rules=tuple(shuffled)), one) == folder_of(one_order, one)


@UNHURRIED
@given(FOLDERS, RULES, MODELS, CONDITIONS)
def test_taking_away_takes_what_it_names_and_no_more(
    folders: dict[str, str], rules: list[Rule], one: ModelRecord, words: list[str]
) -> None:
    """A rule with more conditions than any other, and one of them on the model or not."""
    when = " ".join([*words, "tag:z", "tag:y", "tag:x", "tag:w", "tag:v", "tag:u"])
    preset = Preset("x", "X", folders=folders, rules=tuple(rules))
    taking = replace(preset, rules=(Rule("", when), *preset.rules))
    assert folder_of(taking, one) == folder_of(preset, one)
    named = replace(one, tags=(*one.tags, *"uvwxyz"))
    truths = {f"tag:{tag}" for tag in named.tags} | {f"type:{named.type.value}"}
    wanted = None if set(words) <= truths else folder_of(preset, named)
    assert folder_of(taking, named) == wanted
