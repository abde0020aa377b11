"""Expressions mean here what they mean in Node: a hundred generated ones are evaluated in both."""

import json
import random
import shutil
from subprocess import run

import pytest

from models.errors import ExpressionError, ExpressionFailed
from models.rules.expressions.evaluate import compile_expression
from models.rules.values.json_values import clean
from models.rules.values.scope import Scope
from tests.support.thorough import THOROUGH

INPUT = {
    "n": 7,
    "f": 2.5,
    "text": "Grüße, a-b c 😀",
    "list": [3, 1, 2, 10],
    "words": ["pear", "Apple", "fig"],
    "rows": [{"k": "a", "v": 1}, {"k": "b", "v": 2.5}, {"k": "a", "v": -3}],
    "none": None,
}
IN_NODE = """
const vm = require('node:vm');
const {input, sources} = JSON.parse(require('node:fs').readFileSync(0, 'utf8'));
const told = sources.map(source => {
  try {
    const value = vm.runInNewContext(`'use strict';JSON.stringify((\\n${source}\\n), (key, value) => {
      if (typeof value === 'number' && !Number.isFinite(value)) throw new TypeError('no JSON');
      return value;
    })`, {input: structuredClone(input)});
    return value === undefined ? {failed: true} : {value: JSON.parse(value)};
  } catch { return {failed: true}; }
});
console.log(JSON.stringify(told));
"""


class Generator:
    """Writes expressions of a kind, with parts of parts down to a depth."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def any(self, depth: int = 3) -> str:
        kind = self._random.choice([self.number, self.text, self.flag, self.list, self.object])
        return kind(depth)

    def number(self, depth: int) -> str:
        plain = ["input.n", "input.f", "0", "-1", "1e3", "0.1", "input.list[1]", "input.text.length", "input.gone"]
        if depth <= 0:
            return self._random.choice(plain)
        a, b, text, items = self.number(depth - 1), self.number(depth - 1), self.text(depth - 1), self.list(depth - 1)
        return self._random.choice(
            [
                *(f"({a} {sign} {b})" for sign in ("+", "-", "*", "/", "%", "**", "|", ">>>")),
                *(f"Math.{name}({a})" for name in ("round", "floor", "trunc", "abs", "sign", "hypot")),
                f"Math.max({a}, {b})",
                f"{text}.indexOf('a')",
                f"{items}.length",
                f"{items}.reduce((x, y) => x + Number(y), 0)",
                f"parseInt({text}, 36)",
                f"Number({text})",
                f"({self.flag(depth - 1)} ? {a} : {b})",
                f"({a} ?? {b})",
            ]
        )

    def text(self, depth: int) -> str:
        if depth <= 0:
            return self._random.choice(["input.text", "'ab'", "input.words[0]", "''", "'A-b-c'"])
        a, b, number = self.text(depth - 1), self.text(depth - 1), self.number(depth - 1)
        return self._random.choice(
            [
                f"({a} + {b})",
                f"({a} + {number})",
                *(f"{a}.{name}()" for name in ("toUpperCase", "toLowerCase", "trim")),
                f"{a}.slice({number})",
                f"{a}.replace(/[a-f]+/gi, x => x.length + {b})",
                f"{a}.padStart(8, {b})",
                f"{a}.at(-1)",
                f"`<${{{a}}}|${{{number}}}>`",
                f"String({number})",
                f"({number}).toFixed(2)",
                f"JSON.stringify({self.any(depth - 1)})",
                f"{self.list(depth - 1)}.join('-')",
                f"({a} || {b})",
                f"typeof {self.any(depth - 1)}",
                f"encodeURIComponent({a})",
                f"{a}.normalize('NFD')",
            ]
        )

    def flag(self, depth: int) -> str:
        if depth <= 0:
            return self._random.choice(["true", "false", "input.none === null", "!input.n"])
        a, b = self.number(depth - 1), self.number(depth - 1)
        return self._random.choice(
            [
                *(f"({a} {sign} {b})" for sign in ("<", ">=", "===", "!=")),
                f"({self.text(depth - 1)} < {self.text(depth - 1)})",
                f"({self.flag(depth - 1)} && {self.flag(depth - 1)})",
                f"{self.list(depth - 1)}.includes({a})",
                f"/^[a-z]+(-|$)/i.test({self.text(depth - 1)})",
                f"{self.list(depth - 1)}.some(x => x > {a})",
            ]
        )

    def list(self, depth: int) -> str:
        if depth <= 0:
            return self._random.choice(["input.list", "input.words", "[]", "[1, '2', null]"])
        items, number = self.list(depth - 1), self.number(depth - 1)
        return self._random.choice(
            [
                f"{items}.map((x, i) => [x, i])",
                f"{items}.filter(x => x > {number})",
                f"[...{items}, {self.any(depth - 1)}]",
                f"{items}.slice({number})",
                f"[...{items}].sort()",
                f"{items}.toSorted((a, b) => (String(a) < String(b)) - (String(a) > String(b)))",
                f"{items}.flatMap(x => [x, x])",
                f"{self.text(depth - 1)}.split('-')",
                f"Object.keys({self.object(depth - 1)})",
                f"input.rows.map(({{v, ...rest}}) => ({{...rest, v: v * {number}}}))",
                f"[...{self.text(depth - 1)}.matchAll(/(.)b/g)].map(m => m[1])",
            ]
        )

    def object(self, depth: int) -> str:
        if depth <= 0:
            return self._random.choice(["input.rows[0]", "{a: 1}", "{}"])
        return self._random.choice(
            [
                f"({{...{self.object(depth - 1)}, x: {self.any(depth - 1)}}})",
                f"Object.fromEntries({self.list(depth - 1)}.map((x, i) => ['k' + i, x]))",
                f"Object.assign({{}}, {self.object(depth - 1)}, {{[{self.text(depth - 1)}]: 1}})",
                f"(n => ({{n, list: [n, -n]}}))({self.number(depth - 1)})",
            ]
        )


@pytest.mark.thorough
@pytest.mark.skipif(not (THOROUGH and shutil.which("node")), reason="it is for the long run, with Node at hand")
@pytest.mark.parametrize("seed", range(10))
def test_a_hundred_expressions_mean_what_they_mean_in_node(seed: int):
    generator = Generator(seed)
    sources = [generator.any() for _ in range(100)]
    asked = json.dumps({"input": INPUT, "sources": sources})
    ran = run(["node", "-e", IN_NODE], input=asked, capture_output=True, text=True, check=True, timeout=60)
    differing = {
        source: (here, there)
        for source, there in zip(sources, json.loads(ran.stdout), strict=True)
        if (here := outcome(source)) != clean(there)
    }
    assert differing == {}


def outcome(source: str) -> dict[str, object]:
    try:
        return {"value": compile_expression(source).evaluate(Scope({"input": INPUT}))}
    except (ExpressionError, ExpressionFailed):
        return {"failed": True}
