/** The frame of sign-in and the like: the name above a card. */
import { Paper } from "@mantine/core";
import { Outlet } from "@tanstack/react-router";

import { Brand } from "./Brand";
import { OfflineBanner } from "./OfflineBanner";
import classes from "./StrangerFrame.module.css";

export function StrangerFrame() {
  return (
    <>
      <OfflineBanner />
      <div className={classes.frame}>
        <div className={classes.brand}>
          <Brand />
        </div>
        <Paper component="main" className={classes.card}>
          <Outlet />
        </Paper>
        <p className={classes.promise}>
          Build workflows of AI agents, run them, watch them, pay for what they use.
        </p>
      </div>
    </>
  );
}
