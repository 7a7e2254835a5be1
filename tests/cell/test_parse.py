"""The grammar of a cell body."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cozeloop_magic.cell.literal import refuse_path
from cozeloop_magic.cell.parse import CellSpec, Expression, Value, parse_cell
from cozeloop_magic.entities.prompt import Role
from cozeloop_magic.errors import CellError
from tests.growth import c_grows_alike, growth


def literals(text: str) -> dict[str, Any]:
    spec = parse_cell(text)
    assert all(isinstance(variable.source, Value) for variable in spec.variables)
    return {variable.name: variable.source.value for variable in spec.variables}


def messages(text: str) -> list[tuple[str, Any]]:
    return [
        (message.role.value, message.source.value if isinstance(message.source, Value) else message.source.code)
        for message in parse_cell(text).messages
    ]


class TestVariables:
    def test_a_cell_may_be_empty(self) -> None:
        assert parse_cell("") == parse_cell("\n\n") == CellSpec()

    def test_names_and_values(self) -> None:
        assert literals("topic: artificial intelligence\nuser_request: explain it\n") == {
            "topic": "artificial intelligence",
            "user_request": "explain it",
        }

    def test_names_in_any_script(self) -> None:
        assert literals("主题: 人工智能") == {"主题": "人工智能"}

    @pytest.mark.parametrize(
        "text",
        [
            "{{topic}} and {name}",
            "{name}",
            "costs $5, or ${price}",
            r"C:\new\table \n stays",
            '{"a": 1, "b": [1.50, true]}',
            '["a", "b"]',
            "1.10",
            "0123",
            "12:30",
            "2026-01-02",
            "yes",
            "null",
            "issue #5 # still text",
            "a: b",
            "x = 1",
            '"so" he said',
            "it's",
            "[sic",
            "- dash",
            "*star* &amp @at `tick` %percent !bang",
            "|pipe",
            "a ---",
            '"C" #1 hit',
            "'it''s' # kept",
            "[a, b] # kept",
            "{a:1}",
            "{city:Paris, n:2}",
            "[&a b, *a]",
            "[!!binary aGk=]",
            "12345678901234567890.5",
            '"Hamlet": a tragedy',
            "'Hamlet' : a tragedy",
            "[draft]: of a plan",
            "{x}: y",
            "{[a]: 1}",
            "{{a: 1}: 2}",
            "[{name}, {a: {b}}]",
            "{a: , b: 1}",
        ],
    )
    def test_a_line_is_sent_as_it_is_written(self, text: str) -> None:
        assert literals(f"x: {text}") == {"x": text}

    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ('"quoted # text"', "quoted # text"),
            ("'it''s'", "it's"),
            (r'"two\nlines"', "two\nlines"),
            ('""', ""),
            ("[a, b c, 3, true]", ["a", "b c", 3, True]),
            ("{name: Ada, age: 36}", {"name": "Ada", "age": 36}),
            ("{title: '', 'of': \"\"}", {"title": "", "of": ""}),
            ("{2: a, true: b, 1.5: c, null: d}", {2: "a", True: "b", Decimal("1.5"): "c", None: "d"}),
            ("[1.10, b]", [Decimal("1.10"), "b"]),
            ("[yes, 12:30, 2026-01-02, 0123, ~]", ["yes", "12:30", "2026-01-02", "0123", "~"]),
        ],
    )
    def test_what_yaml_marks_is_yaml(self, text: str, value: Any) -> None:
        assert literals(f"x: {text}") == {"x": value}

    def test_blocks(self) -> None:
        cell = "text: |\n  first\n\n    second #5\nfolded: >\n  one\n  two\nlast: x"
        assert literals(cell) == {"text": "first\n\n  second #5\n", "folded": "one two\n", "last": "x"}

    def test_lists_and_objects_over_several_lines(self) -> None:
        cell = 'a:\n  - x\n  - y: 1\nb:\n- x\n- z\nc:\n  d: 1.50\ne: {\n  "f": [1,\n 2]\n}\ng: [1,\n  2]\n'
        assert literals(cell) == {
            "a": ["x", {"y": 1}],
            "b": ["x", "z"],
            "c": {"d": Decimal("1.50")},
            "e": {"f": [1, 2]},
            "g": [1, 2],
        }

    def test_one_indented_line_is_text_too(self) -> None:
        assert literals("x:\n  1.10\ny: z") == {"x": "1.10", "y": "z"}

    def test_only_blanks_and_tabs_around_a_value_are_no_part_of_it(self) -> None:
        assert literals("a: \tx\u3000\xa0 \t\nb:\n  \u3000y\xa0 ") == {"a": "x\u3000\xa0", "b": "\u3000y\xa0"}

    def test_comments_and_blank_lines_stand_between(self) -> None:
        assert literals("# what it is about\n\ntopic: x\n\n# and\nother: y") == {"topic": "x", "other": "y"}

    def test_windows_line_ends(self) -> None:
        assert literals("a: 1\r\nb: |\r\n  x\r\n") == {"a": "1", "b": "x\n"}

    @given(st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp", "Zs")), min_size=1))
    def test_plain_text_is_never_changed(self, text: str) -> None:
        if text[0] not in "\"'[{|>":
            assert literals(f"x: {text}") == {"x": text}

    json_values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    )

    @settings(max_examples=50, deadline=None)
    @given(st.lists(json_values) | st.dictionaries(st.text(), json_values))
    def test_json_means_itself(self, value: Any) -> None:
        text = json.dumps(value)
        try:
            refuse_path(text)
        except CellError:
            assume(False)  # ".\b" could be a path of Windows, and is refused as one
        assert literals(f"x: {text}") == {"x": text}


class TestExpressions:
    def test_stand_after_an_equals_sign(self) -> None:
        spec = parse_cell('question = df.head().to_markdown()\nrequest = f"explain {subject}: {x}"')
        assert [variable.source for variable in spec.variables] == [
            Expression("df.head().to_markdown()", 1, 12),
            Expression('f"explain {subject}: {x}"', 2, 11),
        ]

    def test_go_over_several_lines_where_python_does(self) -> None:
        spec = parse_cell("a = [\n  1,\n]\nb = '''x\n---\ny'''\n---\nhello")
        assert [variable.source.code for variable in spec.variables] == ["[\n  1,\n]", "'''x\n---\ny'''"]
        assert len(spec.messages) == 1

    def test_go_over_thousands_of_lines_and_four_times_as_many_take_about_four_times(self) -> None:
        def parse(lines: int) -> None:
            code = "[\n" + "  [']', 2],\n" * lines + "]"
            assert parse_cell(f"a = {code}\nb: x").variables[0].source == Expression(code, 1, 5)
            with pytest.raises(CellError, match="never closed"):
                parse_cell(f"a = {code[:-1]}")

        assert growth(parse, 100) < 5 and c_grows_alike(parse, 1_250)

    def test_end_where_python_ends_a_line(self) -> None:
        spec = parse_cell('a = 1 + \\\n  2\nb = (1  # one (\n)\nc = f"""{1}\n"""  # """\nd: x')
        assert [variable.source for variable in spec.variables] == [
            Expression("1 + \\\n  2", 1, 5),
            Expression("(1  # one (\n)", 3, 5),
            Expression('f"""{1}\n"""  # """', 5, 5),
            Value("x"),
        ]


class TestMessages:
    def test_plain_text_is_one_user_message(self) -> None:
        assert messages("---\n\nKeep it brief.\n\n- a\n---\nb\n\n") == [("user", "Keep it brief.\n\n- a\n---\nb")]

    def test_marks_begin_others(self) -> None:
        cell = "x: 1\n---\nhi\n@assistant\nhello\n@tool call_1\n42\n@system\nBe kind.\n@user\nand now?"
        assert messages(cell) == [
            ("user", "hi"),
            ("assistant", "hello"),
            ("tool", "42"),
            ("system", "Be kind."),
            ("user", "and now?"),
        ]
        assert parse_cell(cell).messages[2].tool_call_id == "call_1"

    def test_python_gives_one(self) -> None:
        assert messages("---\n@user = follow_up\n@assistant = [\n  part]\nplain") == [
            ("user", "follow_up"),
            ("assistant", "[\n  part]"),
            ("user", "plain"),
        ]

    def test_a_decorator_in_code_is_text(self) -> None:
        assert messages("---\n@property\ndef f(): ...\n@ada please") == [
            ("user", "@property\ndef f(): ...\n@ada please")
        ]

    def test_a_role_is_a_role(self) -> None:
        assert parse_cell("---\n@system\nx").messages[0].role is Role.SYSTEM


class TestErrors:
    @pytest.mark.parametrize(
        ("cell", "line", "column", "says"),
        [
            ("tell me a joke", 1, 1, "Is the line with `---` missing"),
            ("a: 1\n  b", 2, 1, "ends with its line"),
            ("a:1", 1, 3, "blank after the colon"),
            ("主题：人工智能", 1, 3, "plain colon and a blank: `主题: ...`"),
            ("x = [\n---\n1]", 1, 5, "no Python expression"),
            ("a: 1\na: 2", 2, 1, "given twice, first on line 1"),
            ("a:", 1, 3, 'Write `a: ""`'),
            ("a: |", 1, 4, "nothing is indented"),
            ("a:\n  first\n  second", 2, 1, "`name: |`"),
            ("a: | # note\n  x", 1, 4, "a block begins with `|`, `|-`"),
            ("a: |2\n  x", 1, 4, "a block begins with `|`, `|-`"),
            ("a: >-1\n  x", 1, 4, "a block begins with `|`, `|-`"),
            ("a: |pipe\n  x", 2, 1, "ends with its line"),
            ('a: "C:\\data"', 1, 4, "escape"),
            ("a: {b: 1, b: 2}", 1, 11, "b is given twice"),
            ("a:\n  b: 1\n  b: 2", 3, 3, "b is given twice"),
            ("a:\n  1: x\n  1.0: y", 3, 3, "1.0 is given twice, first as 1; put keys in quotes"),
            ("a: {true: x, 1: y}", 1, 14, "1 is given twice, first as true"),
            ("a: {0: x, false: y}", 1, 11, "false is given twice, first as 0"),
            ("a: {1: x, '1': y}", 1, 11, "1 is given twice."),
            ("a:\n  [x]: 1", 2, 3, "a list or an object cannot be a key"),
            ("a:\n  # todo\nb: 2", 1, 1, "no value is indented below it, only comments"),
            ("a:\n  - &x 1", 2, 5, "put the text in quotes"),
            ("a:\n  - x #5", 2, 6, "put the text in quotes"),
            ("a:\n  b: [1", 2, 8, "no YAML"),
            ("x: 1\ny = 1 +", 2, 5, "no Python expression"),
            ("x = await call()", 1, 5, "synchronous and cannot await. Run `value = await ...` in a cell before"),
            ("a: 1\nx = [y async for y in z]", 2, 5, "cannot await"),
            ("---\n@user = f'{await call()}'", 2, 9, "cannot await"),
            ("url=http://x", 1, 9, "use `name: text`"),
            ("---\n@usr\nhi", 2, 2, "Did you mean @user?"),
            ("---\n@messages = history", 2, 2, "Messages from Python are"),
            ("---\n@tool\n42", 2, 1, "`@tool ID`"),
            ("---\n@user hello", 2, 1, "on the lines below"),
            ("---\n@assistant: ok", 2, 1, "on the lines below"),
            ("---\n@user =", 2, 1, "on the lines below"),
            ("---\n@tool c1 42", 2, 1, "on the lines below"),
            ("---\n@user\n@assistant\nx", 2, 1, "is empty"),
        ],
    )
    def test_show_the_line_and_what_was_expected(self, cell: str, line: int, column: int, says: str) -> None:
        with pytest.raises(CellError) as caught:
            parse_cell(cell)
        error = caught.value
        assert says in str(error)
        assert (error.line, error.column) == (line, column)
        assert error.source == cell.split("\n")[line - 1]

    @given(st.text())
    def test_nothing_else_is_ever_raised(self, text: str) -> None:
        try:
            parse_cell(text)
        except CellError as error:
            assert str(error)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ('o: {"debug": False, "deep": [True]}', {"o": {"debug": False, "deep": [True]}}),
        ("a: True", {"a": "True"}),
        ("\ufefftopic: x\n\u200bb: y", {"topic": "x", "b": "y"}),
        ("topic:\u00a0x\nb:\u3000y", {"topic": "x", "b": "y"}),
        # Whatever comes along where text is pasted, and is not seen.
        ("topic\u200b: x\nb:\u200b y", {"topic": "x", "b": "y"}),
        ("\u200etopic\u00ad: x\n\u2066b: y", {"topic": "x", "b": "y"}),
        ("topic:\u2009x\nb\u202f: y\nc:\u2003\u200fz", {"topic": "x", "b": "y", "c": "\u200fz"}),
        ("\u200b# why\n\u2060\ntopic: x\n\ufeff---\u200b\nhi", {"topic": "x"}),
        ('\ufeff{"topic": "x"}', {"topic": "x"}),
        ('a: "\\n\\n"\nb: "\\t"', {"a": "\n\n", "b": "\t"}),
        ('a: ["Q:\\nWhy?", "C:\\\\new"]', {"a": '["Q:\\nWhy?", "C:\\\\new"]'}),
        (
            "a: [v1_0, 2.0.1, 0x, 12:30, 007, +, '1_000']",
            {"a": ["v1_0", "2.0.1", "0x", "12:30", "007", "+", "1_000"]},
        ),
        ('{"topic": "physics", "n": 3}', {"topic": "physics", "n": 3}),
        ('{\n  "topic": "physics",\n  "n": [1, null]\n}\n', {"topic": "physics", "n": [1, None]}),
        ('  {"topic": "physics"}\n', {"topic": "physics"}),
        ("{'topic': 'physics', 'done': True}", {"topic": "physics", "done": True}),
        ('{"topic": "physics",}', {"topic": "physics"}),
        ('{"topic": "physics"}\n---\nBe brief.', {"topic": "physics"}),
        ("{}", {}),
        ("  topic: physics\n  b: 2", {"topic": "physics", "b": "2"}),
        ("t: |\n  a\u2028b\u0085c\x1bd\x0ce", {"t": "a\u2028b\u0085c\x1bd\x0ce\n"}),
        ("t: |-\n    deep\n  a\n\n  b", {"t": "  deep\na\n\nb"}),
        ("t: |\n\ta\n\t\tb", {"t": "a\n\tb\n"}),
        ('s: "a\\nb"', {"s": "a\nb"}),
        ("s: 'C:\\new\\table.txt'", {"s": "C:\\new\\table.txt"}),
        ('s: ".\\n"', {"s": ".\n"}),
        ('o: {"stop": ".\\n", "tab": "..\\t"}', {"o": '{"stop": ".\\n", "tab": "..\\t"}'}),
        ("s: C:\\new\\table.txt", {"s": "C:\\new\\table.txt"}),
    ],
)
def test_what_can_only_be_meant_in_one_way_is_taken_so(text: str, values: dict[str, object]) -> None:
    assert {each.name: each.source.value for each in parse_cell(text).variables} == values


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('o: {"name": None}', "None would be text; write null"),
        ("l: [1, NaN]", "NaN would be text; write a finite number"),
        ('s: "C:\\new\\table.txt"', "Write the path without quotes"),
        ('s: "..\\temp"', "Write the path without quotes"),
        ("topic＝x", "FULLWIDTH EQUALS SIGN"),
        ("topic: x\n———\nhi", "Write three plain hyphens"),
        ("topic: x\n－－－\nhi", "Write three plain hyphens"),
        ("topic: x\n----\nhi", "Write three plain hyphens"),
        ("---\ntopic: x\n---\nhi", "nothing stands above the first `---`"),
        ("topic physics", "Write `topic: ...` with a colon"),
        ("l: [1_000]", "1_000 would be text; write 1000,"),
        ("l: [.5, 2.]", ".5 would be text; write 0.5,"),
        ("o: {n: +7}", "+7 would be text; write 7,"),
        ("o:\n  n: 0o17", "0o17 would be text; write 15,"),
        ("l: [0x1F]", "0x1F would be text; write 31,"),
        ("o: {on: TRUE}", "TRUE would be text; write true,"),
        ("o: {on: NULL}", "NULL would be text; write null,"),
        ("l: [.inf]", ".inf would be text; write a finite number"),
        ('o: {p: "C:\\new\\table.txt"}', '"C:\\\\new\\\\table.txt"'),
        ('o: {"p": "C:\\new"}', '"C:\\\\new"'),
        ('o:\n  p: "D:\\temp"', '"D:\\\\temp"'),
        ('o: [\n  "..\\new"\n]', '"..\\\\new"'),
        ('{"p": "C:\\new"}', '"C:\\\\new"'),
        ("to\u00adpic: x", "SOFT HYPHEN stands in the name"),
        ("topic∶ x", "This is RATIO"),
        ("a.b: x", "a.b is no variable's name"),
        ("2nd = x", "2nd is no variable's name"),
        ("```\na: x\n```", "Take the fence away"),
        (f"a = {'1 + ' * 5000}1", "nested too deep"),
        ("---\n＠assistant\nhi", "Write @assistant at the start of the line"),
        ("---\nhi\n  @system\nhi", "Write @system at the start of the line"),
        ("---\n@human\nhi", "Write @user at the start of the line"),
        ("---\n@developer\nhi", "Write @system at the start of the line"),
        ('{"topic": "physics", "topic": "x"}', "topic is given twice in one object"),
        ('{"topic": physics}', "this object is no JSON: Expecting value."),
        ('{"topic": "physics"', "this object is no JSON: Expecting ',' delimiter."),
        ('{"topic": "a" "done": true}', "this object is no JSON"),
        ("{1: 2}", "this object is no JSON"),
        ("{topic}", "this object is no JSON"),
        ("{{topic}}", "is `---` missing".replace("is `", "Is the line with `")),
        ('"topic": "physics",', "without quotes and without a comma"),
        ("---\n@tool\ncode", "as text, write `@user"),
    ],
)
def test_a_slip_is_named_with_what_to_write(text: str, said: str) -> None:
    with pytest.raises(CellError) as caught:
        parse_cell(text)
    assert said in str(caught.value)


def test_what_is_not_seen_around_a_mark_is_no_part_of_it() -> None:
    assert messages("---\u200b\n\ufeff@assistant\u3000\nhi\n@tool\u00a0c1\u200b\n42") == [
        ("assistant", "hi"),
        ("tool", "42"),
    ]


def test_what_stands_below_a_pasted_object_is_a_message() -> None:
    assert messages('{"topic": "physics"}\n---\nBe brief.\n@assistant\nYes.') == [
        ("user", "Be brief."),
        ("assistant", "Yes."),
    ]
