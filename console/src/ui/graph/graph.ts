/** The graph of a workflow as the API writes it: documents in which unknown keys are kept. */

export interface Position {
  x: number;
  y: number;
}

/** A node. `position` is absolute, also inside a loop, whose id is `parentId`. */
export interface GraphNode {
  readonly id: string;
  readonly type: string;
  readonly label?: string;
  readonly position?: Position;
  readonly parentId?: string | null;
  readonly config?: Readonly<Record<string, unknown>>;
  readonly [key: string]: unknown;
}

/** A connection; with `fromPort` it is taken only when its source takes that port. */
export interface GraphConnection {
  readonly id: string;
  readonly from: string;
  readonly to: string;
  readonly fromPort?: string | null;
  readonly [key: string]: unknown;
}

export interface Graph {
  readonly nodes: readonly GraphNode[];
  readonly connections: readonly GraphConnection[];
}

type Document = Readonly<Record<string, unknown>>;

/** The text of an identifier, "" for anything that is none. */
function textOf(value: unknown): string {
  return typeof value === "string" || typeof value === "number" ? String(value) : "";
}

function numberOf(value: unknown): number {
  return typeof value === "number" && Number.isFinite(value) ? value : 0;
}

function positionOf(value: unknown): Position | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { x, y } = value as Document;
  return { x: numberOf(x), y: numberOf(y) };
}

function readNode(document: Document): GraphNode {
  const { config } = document;
  const position = positionOf(document.position);
  const isObject = typeof config === "object" && config !== null && !Array.isArray(config);
  const node: Record<string, unknown> = { ...document };
  delete node.position;
  return {
    ...node,
    id: textOf(document.id),
    type: textOf(document.type),
    ...(position ? { position } : {}),
    config: isObject ? (config as Document) : {},
  };
}

function readConnection(document: Document): GraphConnection {
  const [from, to] = [textOf(document.from), textOf(document.to)];
  return { ...document, id: textOf(document.id) || `${from}->${to}`, from, to };
}

/** Read the `nodes` and `connections` of a workflow, a version or a template; drafts may lack almost everything. */
export function readGraph(document: {
  nodes: readonly Document[];
  connections?: readonly Document[] | undefined;
}): Graph {
  const nodes = document.nodes.map(readNode).filter(({ id }) => id !== "");
  return { nodes, connections: (document.connections ?? []).map(readConnection) };
}

/** What a node is called on the screen. */
export function labelOf(node: GraphNode): string {
  return typeof node.label === "string" && node.label !== "" ? node.label : node.id;
}

/** The id of the loop that a node is in, null at the top level or if that loop does not exist. */
export function parentOf(node: GraphNode, byId: ReadonlyMap<string, GraphNode>): string | null {
  const parent = typeof node.parentId === "string" ? byId.get(node.parentId) : undefined;
  return parent && parent.id !== node.id ? parent.id : null;
}

export function nodesById(graph: Graph): ReadonlyMap<string, GraphNode> {
  return new Map(graph.nodes.map((node) => [node.id, node]));
}

/** The node and all that are inside it, at any depth. */
export function withDescendants(graph: Graph, ids: Iterable<string>): Set<string> {
  const found = new Set(ids);
  const byId = nodesById(graph);
  for (let size = -1; size !== found.size;) {
    size = found.size;
    for (const node of graph.nodes) {
      const parent = parentOf(node, byId);
      if (parent !== null && found.has(parent)) found.add(node.id);
    }
  }
  return found;
}
