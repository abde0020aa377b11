/** A template in the gallery: the picture of its graph, and what it is for. The whole card is one link. */
import { Badge, Title } from "@mantine/core";
import { useMemo } from "react";

import { TextLink } from "@/ui/ButtonLink";
import { GraphPreview } from "@/ui/graph/GraphPreview";
import { readGraph } from "@/ui/graph/graph";

import type { Template } from "./queries";
import classes from "./Templates.module.css";
import { categoryName, estimateWord, nodesWord, usesWord } from "./words";

export function TemplateCard({ template }: { template: Template }) {
  const graph = useMemo(() => readGraph(template), [template]);
  const facts = [
    nodesWord(template.nodes.length),
    estimateWord(template.estimatedTime),
    usesWord(template.uses),
  ];
  return (
    <article className={classes.card}>
      <div className={classes.picture}>
        <GraphPreview graph={graph} label={`Graph of ${template.name}`} />
      </div>
      <div className={classes.words}>
        <div className={classes.category}>
          {categoryName(template.category)}
          {template.published ? null : (
            <Badge size="sm" variant="default">
              Private
            </Badge>
          )}
        </div>
        <Title order={2} className={classes.name}>
          <TextLink to="/templates/$templateId" params={{ templateId: template.id }} className={classes.link}>
            {template.name}
          </TextLink>
        </Title>
        <p className={classes.description}>{template.description}</p>
        <p className={classes.facts}>
          {template.author ? `By ${template.author} · ` : null}
          {facts.filter(Boolean).join(" · ")}
        </p>
      </div>
    </article>
  );
}
