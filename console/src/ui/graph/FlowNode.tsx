/** The nodes of React Flow: cards, and loops as containers of what is inside them. */
import { Handle, type NodeProps, Position as Side } from "@xyflow/react";
import { createContext, memo, useContext } from "react";

import type { CardData, CardNode } from "./flow";
import { handleId } from "./flow";
import classes from "./graph.module.css";
import { NodeCard } from "./NodeCard";

/** What a tap on a port does; null where nothing can be connected. */
export const ConnectContext = createContext<((nodeId: string, port: string) => void) | null>(null);

function Ports({ id, data }: { id: string; data: CardData }) {
  const connect = useContext(ConnectContext);
  return (
    <>
      {data.hasWayIn ? <Handle id="in" type="target" position={Side.Top} className={classes.handle} /> : null}
      {data.ports.map((port, index) => {
        const left = `${(100 * (index + 0.5)) / data.ports.length}%`;
        return (
          <Handle
            key={port}
            id={handleId(port)}
            type="source"
            position={Side.Bottom}
            className={classes.handle}
            style={{ left }}
            title={connect ? `Connect from ${port || "here"}` : undefined}
            onClick={(event) => {
              if (!connect) return;
              event.stopPropagation();
              connect(id, port);
            }}
          >
            {port ? (
              <span className={classes.port} data-taken={data.state?.port === port || undefined}>
                {port}
              </span>
            ) : null}
          </Handle>
        );
      })}
    </>
  );
}

const Card = memo(function Card({ id, data }: NodeProps<CardNode>) {
  return (
    <div className={classes.card} data-status={data.state?.status} data-mark={data.mark}>
      <NodeCard data={data} />
      <Ports id={id} data={data} />
    </div>
  );
});

const Loop = memo(function Loop({ id, data }: NodeProps<CardNode>) {
  return (
    <div className={classes.loop} data-status={data.state?.status} data-mark={data.mark}>
      <div className={`loop-header ${classes.header ?? ""}`}>
        <NodeCard data={data} />
      </div>
      {data.isEmpty ? <div className={classes.hint}>Nodes inside run for each item</div> : null}
      <Ports id={id} data={data} />
    </div>
  );
});

export const flowNodeTypes = { card: Card, loop: Loop };
