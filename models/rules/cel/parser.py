"""Reads an expression into a tree, in the grammar of CEL; refuses with a sentence and a place."""

from collections.abc import Mapping

from models.rules.cel.meter import ExpressionError
from models.rules.cel.syntax import (
    MAX_HEIGHT,
    Call,
    Chain,
    Choose,
    Has,
    ListOf,
    Literal,
    Macro,
    MapOf,
    Name,
    Path,
    Step,
    Tree,
    Unary,
)
from models.rules.cel.tokens import Token, refusal, tokens

MAX_NESTING = 24  # brackets within brackets
MACROS = frozenset({"all", "exists", "exists_one", "existsOne", "map", "filter"})
NAMESPACES = frozenset({"math", "lists", "base64"})
_LEVELS = (
    frozenset({"||"}),
    frozenset({"&&"}),
    frozenset({"<", "<=", ">", ">=", "==", "!=", "in"}),
    frozenset({"+", "-"}),
    frozenset({"*", "/", "%"}),
)
_CONSTANTS = {"true": True, "false": False, "null": None}
_RESERVED = frozenset(
    {"as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop", "package"}
    | {"namespace", "return", "var", "void", "while"}
)
_WORDS = {"and": "&&", "or": "||", "not": "!", "is": "==", "None": "null", "True": "true", "False": "false"}


def parse(source: str, references: Mapping[int, str]) -> Tree:
    """Read `source`; `references` are the places of node ids. Raises `ExpressionError`."""
    parser = _Parser(source, tokens(source, references))
    if parser.now.kind == "end":
        raise refusal(source, 0, "The expression is empty.")
    tree = parser.expression()
    if parser.now.kind != "end":
        raise parser.unexpected()
    _check_height(source, tree)
    return tree


def _check_height(source: str, tree: Tree) -> None:
    level: list[Tree] = [tree]
    for _ in range(MAX_HEIGHT):
        level = [part for item in level for part in item.parts]
        if not level:
            return
    raise refusal(source, level[0].start, "The expression is nested too deeply.")


class _Parser:
    def __init__(self, source: str, found: list[Token]) -> None:
        self.source, self.tokens, self.index, self.nesting = source, found, 0, 0

    @property
    def now(self) -> Token:
        return self.tokens[self.index]

    def expression(self) -> Tree:
        """Conditions with their branches, or whatever binds tighter."""
        start = self.now.at
        cases: list[tuple[Tree, Tree]] = []
        tree = self.binary(0)
        while self.take("?"):
            then = self.binary(0)
            if self.now.text == "?":
                raise refusal(self.source, self.now.at, "Put the inner condition in brackets.")
            self.need(":")
            cases.append((tree, then))
            tree = self.binary(0)
        return Choose(start, tuple(cases), tree) if cases else tree

    def binary(self, level: int) -> Tree:
        """Operators of `level` and tighter ones, from left to right."""
        if level == len(_LEVELS):
            return self.unary()
        first = self.binary(level + 1)
        rest = []
        while self.now.kind in ("sign", "name") and self.now.text in _LEVELS[level]:
            operator = self.advance()
            rest.append((operator.text, operator.at, self.binary(level + 1)))
        return Chain(first.start, first, tuple(rest)) if rest else first

    def unary(self) -> Tree:
        signs = []
        while self.now.kind == "sign" and self.now.text in ("!", "-"):
            signs.append(self.advance())
        if signs and signs[-1].text == "-" and self.now.kind in ("int", "double"):
            tree: Tree = Literal(signs.pop().at, -self.advance().value)
        else:
            tree = self.members(self.primary())
        for sign in reversed(signs):
            tree = Unary(sign.at, sign.text, tree)
        return tree

    def members(self, tree: Tree) -> Tree:
        """What follows a value: fields, keys, and calls on it."""
        steps: list[Step] = []
        while self.now.kind == "sign" and self.now.text in (".", "["):
            mark = self.advance()
            if mark.text == "[":
                steps.append(Step(mark.at, self.inside("]")))
                continue
            if self.now.kind not in ("name", "node"):
                raise self.unexpected("a name after the dot")
            word = self.advance()
            if word.kind == "name" and self.now.text == "(":
                tree = self.call(word, _path(tree, steps))
                steps = []
            else:
                steps.append(Step(mark.at, word.text))
        return _path(tree, steps)

    def primary(self) -> Tree:
        token = self.advance()
        if token.kind in ("int", "double", "text"):
            if token.kind == "int" and token.value >= 2**63:
                raise refusal(self.source, token.at, f"{token.text} is too large; a whole number has at most 64 bits.")
            return Literal(token.at, token.value)
        if token.kind == "name":
            return self.word(token)
        if token.kind == "sign" and token.text == "(":
            return self.inside(")")
        if token.kind == "sign" and token.text == "[":
            return ListOf(token.at, tuple(self.listed("]")))
        if token.kind == "sign" and token.text == "{":
            return self.mapping(token)
        self.index -= token.kind != "end"
        raise self.unexpected("a value")

    def word(self, token: Token) -> Tree:
        if token.text in _CONSTANTS:
            return Literal(token.at, _CONSTANTS[token.text])
        if token.text in _RESERVED or token.text == "in":
            raise refusal(self.source, token.at, f"`{token.text}` is a reserved word.")
        if self.now.text == "(":
            return self.call(token, None)
        if self.now.text == "{":
            raise refusal(self.source, self.now.at, "An object is written without a name before it.")
        return Name(token.at, token.text)

    def call(self, word: Token, target: Tree | None) -> Tree:
        """`word(...)`, or `target.word(...)`."""
        start = target.start if target else word.at
        if target and word.text in MACROS:
            return self.macro(word, target)
        self.need("(")
        arguments = self.listed(")")
        if target is None and word.text == "has":
            return self.has(word, arguments)
        if isinstance(target, Name) and target.name in NAMESPACES:
            return Call(start, f"{target.name}.{word.text}", tuple(arguments))
        return Call(word.at, word.text, (target, *arguments) if target else tuple(arguments))

    def has(self, word: Token, arguments: list[Tree]) -> Tree:
        path = arguments[0] if len(arguments) == 1 else None
        if not isinstance(path, Path):
            raise refusal(self.source, word.at, "has() takes one field, such as has(input.name).")
        return Has(word.at, path)

    def macro(self, word: Token, target: Tree) -> Tree:
        """`target.word(variable, ...)`."""
        self.need("(")
        arguments = self.listed(")")
        most = 3 if word.text == "map" else 2
        if not 2 <= len(arguments) <= most or not isinstance(arguments[0], Name):
            example = f"input.items.{word.text}(x, x.price > 10)"
            raise refusal(self.source, word.at, f"`{word.text}` takes a name and an expression: {example}.")
        variable = arguments[0].name
        if variable == "nodes":
            raise refusal(self.source, arguments[0].start, f"`{variable}` is taken; choose another name.")
        condition = arguments[1] if len(arguments) == 3 else None
        kind = "exists_one" if word.text == "existsOne" else word.text
        return Macro(target.start, kind, target, variable, arguments[-1], condition)

    def mapping(self, brace: Token) -> Tree:
        entries = []
        self.enter()
        while self.now.text != "}" or self.now.kind == "text":
            key = self.expression()
            self.need(":")
            entries.append((key, self.expression()))
            if not self.take(","):
                break
        self.leave("}")
        return MapOf(brace.at, tuple(entries))

    def listed(self, closing: str) -> list[Tree]:
        """Expressions between commas, up to `closing`."""
        found = []
        self.enter()
        while self.now.text != closing or self.now.kind == "text":
            found.append(self.expression())
            if not self.take(","):
                break
        self.leave(closing)
        return found

    def inside(self, closing: str) -> Tree:
        self.enter()
        tree = self.expression()
        self.leave(closing)
        return tree

    def enter(self) -> None:
        self.nesting += 1
        if self.nesting > MAX_NESTING:
            raise refusal(self.source, self.now.at, f"More than {MAX_NESTING} brackets are open here.")

    def leave(self, closing: str) -> None:
        self.nesting -= 1
        self.need(closing)

    def advance(self) -> Token:
        token = self.tokens[self.index]
        self.index += token.kind != "end"
        return token

    def take(self, text: str) -> bool:
        if self.now.kind == "sign" and self.now.text == text:
            self.index += 1
            return True
        return False

    def need(self, text: str) -> None:
        if not self.take(text):
            raise self.unexpected(f"`{text}`")

    def unexpected(self, wanted: str = "") -> ExpressionError:
        """What to say about the token that stands here."""
        token = self.now
        if token.kind == "end":
            sentence = f"The expression ends too early; {wanted or 'more'} is missing."
        elif token.text in _WORDS:
            sentence = f"`{token.text}` is not an operator here; write `{_WORDS[token.text]}`."
        elif wanted:
            sentence = f"Here should be {wanted}, not `{token.text[:40]}`."
        else:
            sentence = f"`{token.text[:40]}` is not expected here."
        return refusal(self.source, token.at, sentence)


def _path(tree: Tree, steps: list[Step]) -> Tree:
    return Path(tree.start, tree, tuple(steps)) if steps else tree
