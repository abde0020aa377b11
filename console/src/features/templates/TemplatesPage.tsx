/** The gallery of templates by category, with a picture of each graph. */
import { Button, Stack } from "@mantine/core";
import { IconUpload } from "@tabler/icons-react";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { useState } from "react";

import { FilterChips } from "@/ui/FilterChips";
import { PageHeader } from "@/ui/PageHeader";
import { ShowMore } from "@/ui/ShowMore";
import { Empty, Loaded } from "@/ui/states";

import { PublishDialog } from "./PublishDialog";
import { categoriesQuery, galleryQuery } from "./queries";
import { TemplateCard } from "./TemplateCard";
import classes from "./Templates.module.css";
import { categoryName } from "./words";

const route = getRouteApi("/shell/templates");
const ALL = "";
const OWN = "\0own"; // no category has this name

export function TemplatesPage() {
  const search = route.useSearch();
  const [publishes, setPublishes] = useState(false);
  const templates = useInfiniteQuery(galleryQuery(search));
  return (
    <>
      <PageHeader
        title="Templates"
        description="Workflows that work, to start from."
        actions={
          <Button
            variant="default"
            leftSection={<IconUpload size={18} aria-hidden />}
            onClick={() => setPublishes(true)}
          >
            Publish a workflow
          </Button>
        }
      />
      <Categories />
      <Loaded
        query={templates}
        isEmpty={({ pages }) => pages.every((page) => page.templates.length === 0)}
        empty={<NoTemplates isOwn={search.own ?? false} />}
      >
        {({ pages }) => (
          <Stack>
            <ul className={classes.gallery} aria-label="Templates">
              {pages
                .flatMap((page) => page.templates)
                .map((template) => (
                  <li key={template.id}>
                    <TemplateCard template={template} />
                  </li>
                ))}
            </ul>
            <ShowMore pages={templates} />
          </Stack>
        )}
      </Loaded>
      {publishes ? <PublishDialog onClose={() => setPublishes(false)} /> : null}
    </>
  );
}

function Categories() {
  const { category, own } = route.useSearch();
  const navigate = route.useNavigate();
  const categories = useQuery(categoriesQuery);
  const choices = [
    { value: ALL, label: "All" },
    ...(categories.data?.categories ?? []).map(({ name, count }) => ({
      value: name,
      label: categoryName(name),
      count,
    })),
    { value: OWN, label: "My own" },
  ];
  return (
    <FilterChips
      label="Category"
      choices={choices}
      value={own ? OWN : (category ?? ALL)}
      onChange={(value) => {
        const search = value === OWN ? { own: true } : value === ALL ? {} : { category: value };
        void navigate({ search, replace: true });
      }}
    />
  );
}

function NoTemplates({ isOwn }: { isOwn: boolean }) {
  if (!isOwn) return <Empty title="There are no templates here" />;
  return (
    <Empty title="You have no templates yet">
      Publish a workflow, and it appears here and in the gallery.
    </Empty>
  );
}
