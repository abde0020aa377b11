// Analyses expressions without running them. The value of this script is the function that the host calls with
// `[[source, mode, ids], ...]` as JSON; mode is `expression`, `body`, or `either`. For each source it returns
// `{source, body, kind, chains}` or `{error, line, column}`.
(() => {
  'use strict';
  const { Parser, tokTypes } = globalThis.acorn;
  const { parse, stringify } = JSON;
  const variables = new Set(knownNames.variables), known = Object.values(knownNames).flat();

  // Ids need not be identifiers, as in `nodes.node-1.output`. `ids` are those that may occur, the longest first.
  const withIds = (Base) => class extends Base {
    idAt(at) {
      return this.ids.find((one) => this.input.startsWith(one, at) && !/^\w\w/.test(this.input.slice(at + one.length - 1)));
    }
    readToken(code) {
      if (!this.wasNodes) return super.readToken(code);
      const isDot = this.type === tokTypes.dot || this.type === tokTypes.questionDot;
      if (!isDot && code === 46 && this.idAt(this.pos + 1)) { // otherwise `.3` is a number
        this.pos++;
        return this.finishToken(tokTypes.dot);
      }
      const id = isDot ? this.idAt(this.pos) : undefined;
      if (id === undefined) return super.readToken(code);
      this.written.push([this.pos, id, this.type === tokTypes.questionDot]);
      this.pos += id.length;
      return this.finishToken(tokTypes.name, id);
    }
    finishToken(type, value) {
      const isDot = type === tokTypes.dot || type === tokTypes.questionDot;
      if (!isDot) this.wasNodes = type === tokTypes.name && value === 'nodes' && this.type !== tokTypes.dot;
      return super.finishToken(type, value);
    }
  };
  const Reader = Parser.extend(withIds);

  const READ = { expression: ["'use strict';(\n", '\n)'], body: ["'use strict';{\n", '\n}'] };

  function syntax(source, mode, ids) {
    const [before, after] = READ[mode], full = before + source + after;
    const options = { ecmaVersion: 2023, preserveParens: true, allowReturnOutsideFunction: mode === 'body', allowHashBang: false };
    const parser = Object.assign(new Reader(options, full), { ids, written: [] });
    const program = parser.parse(), whole = program.body[1];
    const end = mode === 'body' ? whole?.type === 'BlockStatement' : whole?.expression?.type === 'ParenthesizedExpression';
    if (program.body.length !== 2 || !end || whole.end !== full.length) {
      throw Object.assign(new SyntaxError('Only one expression is allowed here'), { pos: before.length + source.length });
    }
    return { node: mode === 'body' ? whole.body : whole.expression.expression, shift: before.length, written: parser.written };
  }

  const position = (source, at) => {
    const before = source.slice(0, Math.max(0, Math.min(at, source.length)));
    return [before.split('\n').length, before.length - before.lastIndexOf('\n')];
  };

  const rewritten = (source, written, shift) => {
    let made = '', done = 0;
    for (const [at, id, optional] of written) {
      if (/^[A-Za-z_$][\w$]*$/.test(id)) continue;
      const dot = source.lastIndexOf('.', at - shift - 1) - (optional ? 1 : 0);
      made += source.slice(done, dot) + (optional ? '?.' : '') + `[${stringify(id)}]`;
      done = at - shift + id.length;
    }
    return made + source.slice(done);
  };

  // Names that a pattern declares.
  function declared(node, names) {
    if (!node) return;
    if (node.type === 'Identifier') names.add(node.name);
    else if (node.type === 'ObjectPattern') node.properties.forEach((one) => declared(one.value ?? one.argument, names));
    else if (node.type === 'ArrayPattern') node.elements.forEach((one) => declared(one, names));
    else declared(node.left ?? node.argument, names);
  }

  const isNode = (value) => typeof value?.type === 'string';
  const children = (node) => Object.values(node).flat().filter(isNode);
  const isFunction = (node) => /Function/.test(node.type);

  // Names that a block declares, and those of `var` and functions inside it.
  function hoisted(nodes, names, isTop = true) {
    for (const node of nodes) {
      if (node.type === 'VariableDeclaration' && (isTop || node.kind === 'var')) node.declarations.forEach((one) => declared(one.id, names));
      if ((node.type === 'FunctionDeclaration' || node.type === 'ClassDeclaration') && isTop) names.add(node.id.name);
      if (!isFunction(node) && !/Class/.test(node.type)) hoisted(children(node), names, false);
    }
    return names;
  }

  const key = (node) => {
    if (!node.computed) return node.property.name;
    if (node.property.type === 'Literal') return typeof node.property.value === 'string' || typeof node.property.value === 'number' ? node.property.value : undefined;
    return node.property.type === 'TemplateLiteral' && !node.property.expressions.length ? node.property.quasis[0].value.cooked : undefined;
  };

  class Walk {
    constructor() {
      this.free = new Map();
      this.chains = [];
      this.slips = [];
      this.inFunction = 0;
    }

    visit(node, names, isCalled = false) {
      const take = this[node.type];
      if (take) take.call(this, node, names, isCalled);
      else if (isFunction(node)) this.function(node, names);
      else for (const child of children(node)) this.visit(child, names);
    }

    all(nodes, names) { nodes.filter(Boolean).forEach((node) => this.visit(node, names)); }

    read(node, names, path) {
      if (names.has(node.name)) return;
      if (!this.free.has(node.name)) this.free.set(node.name, node.start);
      if (variables.has(node.name)) this.chains.push([node.name, ...path]);
    }

    Identifier(node, names) { this.read(node, names, []); }

    MemberExpression(node, names, isCalled) {
      const path = [];
      let inner = node, isFirst = true;
      while (inner.type === 'MemberExpression' || inner.type === 'ChainExpression' || inner.type === 'ParenthesizedExpression') {
        if (inner.type === 'MemberExpression') {
          const name = key(inner);
          if (inner.computed) this.visit(inner.property, names);
          if (name === undefined || (isFirst && isCalled)) path.length = 0;
          else path.unshift(name);
          isFirst = false;
          inner = inner.object;
        } else inner = inner.expression;
      }
      if (inner.type === 'Identifier') this.read(inner, names, path);
      else this.visit(inner, names);
    }

    CallExpression(node, names) {
      this.visit(node.callee, names, true);
      this.all(node.arguments, names);
    }

    ChainExpression(node, names, isCalled) { this.visit(node.expression, names, isCalled); }
    ParenthesizedExpression(node, names, isCalled) { this.visit(node.expression, names, isCalled); }

    Property(node, names) {
      if (node.computed) this.visit(node.key, names);
      this.visit(node.value, names);
    }
    PropertyDefinition(node, names) { this.all([node.computed && node.key, node.value], names); }
    MethodDefinition(node, names) { this.all([node.computed && node.key, node.value], names); }
    MetaProperty(node) { this.slips.push([node.start, '`import.meta` and `new.target` do not exist here']); }
    ImportExpression(node) { this.slips.push([node.start, '`import` is not available here']); }
    ThisExpression(node) { if (!this.inFunction) this.slips.push([node.start, 'There is no `this`; write `input`, `data` or `nodes`']); }
    LabeledStatement(node, names) { this.visit(node.body, names); }
    BreakStatement() {}
    ContinueStatement() {}

    AwaitExpression(node) { this.slips.push([node.start, '`await` is not available here: expressions are synchronous']); }

    AssignmentExpression(node, names) {
      this.scopeKept(node.left, names);
      this.all([node.left, node.right], names);
    }
    UpdateExpression(node, names) {
      this.scopeKept(node.argument, names);
      this.visit(node.argument, names);
    }
    scopeKept(node, names) {
      if (node.type === 'Identifier' && variables.has(node.name) && !names.has(node.name)) {
        this.slips.push([node.start, `\`${node.name}\` cannot be changed; declare a variable of your own with let`]);
      }
    }

    // Comparisons and sums that are certainly mistakes.
    BinaryExpression(node, names) {
      const kinds = [node.left, node.right].map(kindOf), [left, right] = kinds;
      const odd = kinds.find((one) => one === 'an object' || one === 'a list' || one === 'a function');
      if (/^[-*/%]$|^\*\*$/.test(node.operator) && kinds.some((one) => one && one !== 'a number' && one !== 'true or false')) {
        const wrong = kinds.find((one) => one && one !== 'a number' && one !== 'true or false');
        if (wrong !== 'a text' || kinds.some((one, at) => one === 'a text' && !isNumeric([node.left, node.right][at]))) {
          this.slips.push([node.start, `\`${node.operator}\` calculates with numbers, and this is ${wrong}`]);
        }
      } else if (/^[=!]==?$/.test(node.operator) && odd && odd !== undefined && !(left === 'null' || right === 'null')) {
        this.slips.push([node.start, `\`${node.operator}\` is never true for ${odd} that is written here; compare its parts instead`]);
      } else if (/^[=!]==$/.test(node.operator) && left && right && left !== right && left !== 'null' && right !== 'null') {
        this.slips.push([node.start, `\`${node.operator}\` compares ${left} with ${right}, which are never equal`]);
      } else if (node.operator === '+' && odd) {
        this.slips.push([node.start, `\`+\` adds numbers or texts, and this is ${odd}`]);
      }
      this.all([node.left, node.right], names);
    }

    function(node, names) {
      if (node.async) this.slips.push([node.start, 'Async functions are not available here; write a plain function']);
      const own = new Set(names), isArrow = node.type === 'ArrowFunctionExpression';
      if (!isArrow) own.add('arguments');
      if (node.id) own.add(node.id.name);
      node.params.forEach((one) => declared(one, own));
      const body = node.body.type === 'BlockStatement' ? hoisted(node.body.body, own) : own;
      this.inFunction += !isArrow;
      node.params.forEach((one) => this.pattern(one, own));
      if (node.body.type === 'BlockStatement') this.all(node.body.body, body);
      else this.visit(node.body, own);
      this.inFunction -= !isArrow;
    }

    // Defaults and computed names within a pattern are read; the names that it declares are not.
    pattern(node, names) {
      if (!node || node.type === 'Identifier') return;
      if (node.type === 'ObjectPattern') {
        for (const one of node.properties) {
          if (one.computed) this.visit(one.key, names);
          this.pattern(one.value ?? one.argument, names);
        }
      } else if (node.type === 'ArrayPattern') node.elements.forEach((one) => this.pattern(one, names));
      else if (node.type === 'AssignmentPattern') {
        this.pattern(node.left, names);
        this.visit(node.right, names);
      } else this.pattern(node.argument, names);
    }

    block(nodes, names) { this.all(nodes, hoisted(nodes, new Set(names))); }
    BlockStatement(node, names) { this.block(node.body, names); }
    StaticBlock(node, names) { this.block(node.body, names); }
    SwitchStatement(node, names) {
      this.visit(node.discriminant, names);
      const inside = hoisted(node.cases.flatMap((one) => one.consequent), new Set(names));
      node.cases.forEach((one) => this.all([one.test, ...one.consequent], inside));
    }
    loop(node, names) {
      const inside = hoisted([node.init ?? node.left].filter(Boolean), new Set(names));
      this.all([node.init, node.left, node.right, node.test, node.update, node.body], inside);
    }
    ForStatement(node, names) { this.loop(node, names); }
    ForInStatement(node, names) { this.loop(node, names); }
    ForOfStatement(node, names) {
      if (node.await) this.AwaitExpression(node);
      this.loop(node, names);
    }
    CatchClause(node, names) {
      const inside = new Set(names);
      declared(node.param, inside);
      this.pattern(node.param, inside);
      this.visit(node.body, inside);
    }
    VariableDeclarator(node, names) {
      this.pattern(node.id, names);
      if (node.init) this.visit(node.init, names);
    }
    ClassDeclaration(node, names) { this.class(node, names); }
    ClassExpression(node, names) { this.class(node, names); }
    class(node, names) {
      const inside = new Set(names);
      if (node.id) inside.add(node.id.name);
      this.inFunction += 1;
      this.all([node.superClass, ...node.body.body], inside);
      this.inFunction -= 1;
    }
  }

  const isNumeric = (node) => node.type === 'Literal' && node.value.trim?.() !== '' && Number.isFinite(Number(node.value));

  function kindOf(node) {
    switch (node.type) {
      case 'Literal':
        if (node.value === null) return node.raw === 'null' ? 'null' : undefined;
        return { string: 'a text', number: 'a number', boolean: 'true or false' }[typeof node.value];
      case 'TemplateLiteral': return 'a text';
      case 'ObjectExpression': return 'an object';
      case 'ArrayExpression': return 'a list';
      case 'ArrowFunctionExpression': case 'FunctionExpression': return 'a function';
      case 'ParenthesizedExpression': return kindOf(node.expression);
      case 'UnaryExpression': return { '!': 'true or false', '-': undefined, typeof: 'a text' }[node.operator];
      default: return undefined;
    }
  }

  // The number of letters by which two words differ.
  function distance(one, other) {
    let row = Array.from({ length: other.length + 1 }, (_, at) => at);
    for (let at = 1; at <= one.length; at++) {
      const next = [at];
      for (let to = 1; to <= other.length; to++) {
        next[to] = Math.min(row[to] + 1, next[to - 1] + 1, row[to - 1] + (one[at - 1].toLowerCase() !== other[to - 1].toLowerCase()));
      }
      row = next;
    }
    return row.at(-1);
  }

  function unknown(name) {
    const shown = name.slice(0, 64);
    if (name === 'eval' || name === 'Function') return `There is no \`${name}\`: texts are not run.`;
    const near = known.map((one) => [distance(shown, one), one]).sort(([a], [b]) => a - b)[0];
    return `There is no \`${shown}\`${near[0] <= Math.max(2, shown.length / 3) ? `; did you mean \`${near[1]}\`?` : '.'}`;
  }

  function told(source, mode, ids) {
    const { node, shift, written } = syntax(source, mode, ids), walk = new Walk();
    if (mode === 'body') walk.block(node, new Set());
    else walk.visit(node, new Set());
    const foreign = [...walk.free].filter(([name]) => !known.includes(name)).map(([name, start]) => [start, unknown(name)]);
    const problem = [...foreign, ...walk.slips.map(([start, said]) => [start, `${said}.`])].sort(([a], [b]) => a - b)[0];
    if (problem) {
      const [line, column] = position(source, problem[0] - shift);
      return { error: problem[1], line, column };
    }
    const kind = mode === 'body' ? null : (kindOf(node) ?? null);
    return { source: rewritten(source, written, shift), body: mode === 'body', kind, chains: walk.chains };
  }

  function refused(source, mode, error) {
    if (!('pos' in error) || /stack/i.test(error.message)) return { error: 'It is nested too deeply.', line: 1, column: 1 };
    const at = error.pos - READ[mode][0].length, [line, column] = position(source, at);
    const said = String(error.message).replace(/ \(\d+:\d+\)$/, ''), rest = source.slice(Math.max(0, at));
    if (!rest.trim()) return { error: source.trim() ? 'It ends too early.' : 'It is empty.', line, column };
    if (said === 'Unexpected token') return { error: `\`${/^(?:[\w$]+|[^])/.exec(rest)[0]}\` is not expected here.`, line, column };
    return { error: `${PLAIN[said] ?? said}.`, line, column };
  }

  const PLAIN = {
    'Unterminated string constant': 'A text in quotes is not closed',
    'Unterminated template': 'A text in backquotes is not closed',
    'Unterminated regular expression': 'A regular expression is not closed',
    'Identifier directly after number': 'A name cannot follow a number',
  };

  function analyse([source, mode, ids]) {
    const modes = mode === 'either' ? ['expression', 'body'] : [mode];
    for (const one of modes) {
      try {
        return told(source, one, ids);
      } catch (error) {
        const isLast = one === modes.at(-1) || !/\breturn\b/.test(source);
        if (isLast) return refused(source, one, error);
      }
    }
  }

  return function run(request) {
    return 'v' + stringify(parse(request).map(analyse));
  };
})();
