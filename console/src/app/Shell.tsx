/** The frame of the signed-in screens: a side bar on a desk, a bar at the bottom of a phone. */
import { Outlet } from "@tanstack/react-router";

import { useIsDesk } from "@/ui/useIsDesk";

import { OfflineBanner } from "./OfflineBanner";
import { PhoneBar, SideBar } from "./Navigation";
import classes from "./Shell.module.css";
import { useSession } from "@/api/session";
import { VerifyBanner } from "./VerifyBanner";

export function Shell() {
  useSession();
  const isDesk = useIsDesk();
  return (
    <div className={classes.frame}>
      <button
        type="button"
        className={classes.skip}
        onClick={() => document.getElementById("content")?.focus()}
      >
        Skip to content
      </button>
      {isDesk ? <SideBar /> : null}
      <div className={classes.column}>
        <OfflineBanner />
        <VerifyBanner />
        <main id="content" tabIndex={-1} className={classes.main}>
          <Outlet />
        </main>
      </div>
      {isDesk ? null : <PhoneBar />}
    </div>
  );
}
