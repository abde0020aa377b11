/** Where a new node goes when nobody points at a place. */
import { boxesOf, LOOP_HEADER, LOOP_PADDING, NODE_HEIGHT, NODE_WIDTH } from "@/ui/graph/geometry";
import { type Graph, nodesById, parentOf, type Position } from "@/ui/graph/graph";

import { addNode, connect, loopAt, type NewNode, refusal } from "./edits";

const GAP = 64;
const SIDE = 24;

type Ports = ReadonlyMap<string, readonly string[]>;

/** The place, or one to its right where no other node of the same loop is. */
function freePlace(graph: Graph, at: Position, parentId: string | null): Position {
  const byId = nodesById(graph);
  const boxes = boxesOf(graph);
  const others = graph.nodes
    .filter((node) => parentOf(node, byId) === parentId)
    .flatMap(({ id }) => boxes.get(id) ?? []);
  let { x } = at;
  const isTaken = () =>
    others.some(
      (box) =>
        x < box.x + box.width &&
        box.x < x + NODE_WIDTH &&
        at.y < box.y + box.height &&
        box.y < at.y + NODE_HEIGHT,
    );
  for (let tries = 0; tries < 100 && isTaken(); tries += 1) x += NODE_WIDTH + SIDE;
  return { x, y: at.y };
}

/** The first port of a node from which nothing leads on; null if all are used, "" for the one without a name. */
function freePort(graph: Graph, id: string, ports: Ports): string | null {
  const used = new Set(
    graph.connections.filter(({ from }) => from === id).map(({ fromPort }) => fromPort ?? ""),
  );
  return (ports.get(id) ?? [""]).find((port) => !used.has(port)) ?? null;
}

/**
 * Add a node after the selected one, connected with it; inside of the selected loop; or at `center`. `hasWayIn` is
 * whether nodes of the type follow others.
 */
export function addAfter(
  graph: Graph,
  made: Omit<NewNode, "position">,
  { selectedId, ports, center }: { selectedId: string | null; ports: Ports; center: Position },
): { graph: Graph; id: string } {
  const byId = nodesById(graph);
  const selected = byId.get(selectedId ?? "");
  const box = selected ? boxesOf(graph, ports).get(selected.id) : undefined;
  if (!selected || !box) {
    const position = { x: center.x - NODE_WIDTH / 2, y: center.y - NODE_HEIGHT / 2 };
    const parentId = loopAt(graph, "", center);
    return addNode(graph, { ...made, parentId, position: freePlace(graph, position, parentId) });
  }
  if (selected.type === "loop" && made.type !== "output") {
    const at = { x: box.x + LOOP_PADDING, y: box.y + LOOP_HEADER + LOOP_PADDING };
    return addNode(graph, { ...made, parentId: selected.id, position: freePlace(graph, at, selected.id) });
  }
  const parentId = parentOf(selected, byId);
  const at = { x: box.x + box.width / 2 - NODE_WIDTH / 2, y: box.y + box.height + GAP };
  const added = addNode(graph, { ...made, parentId, position: freePlace(graph, at, parentId) });
  const port = freePort(graph, selected.id, ports);
  const isWay = made.type !== "input" && selected.type !== "output" && port !== null;
  if (!isWay || refusal(added.graph, selected.id, port || null, added.id)) return added;
  return { ...added, graph: connect(added.graph, selected.id, port || null, added.id) };
}
