/** Links of the router that look like Mantine's buttons and anchors. */
import { Anchor, type AnchorProps, Button, type ButtonProps } from "@mantine/core";
import { createLink } from "@tanstack/react-router";
import type { ComponentPropsWithRef } from "react";

type Anchored = Omit<ComponentPropsWithRef<"a">, "style" | "color">;

export const ButtonLink = createLink((props: ButtonProps & Anchored) => <Button component="a" {...props} />);

export const TextLink = createLink((props: AnchorProps & Anchored) => <Anchor {...props} />);
