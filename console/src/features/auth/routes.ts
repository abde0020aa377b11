import { createRoute, lazyRouteComponent, redirect } from "@tanstack/react-router";

import { meQuery } from "@/api/queries";
import { strangerRoute } from "@/app/routes";

import { safeNext } from "./next";

interface SignInSearch {
  /** The address inside of the console to go to afterwards. */
  next?: string;
}

const signIn = createRoute({
  getParentRoute: () => strangerRoute,
  path: "/sign-in",
  validateSearch: (search: Record<string, unknown>): SignInSearch => {
    const next = safeNext(search.next);
    return next ? { next } : {};
  },
  beforeLoad: async ({ context, search }) => {
    // A server that cannot be reached is the form's to report.
    const user = await context.queryClient.query({ ...meQuery, staleTime: "static" }).catch(() => null);
    if (user) throw redirect({ href: search.next ?? "/" });
  },
  component: lazyRouteComponent(() => import("./SignInPage"), "SignInPage"),
});

const signUp = createRoute({
  getParentRoute: () => strangerRoute,
  path: "/sign-up",
  component: lazyRouteComponent(() => import("./SignUpPage"), "SignUpPage"),
});

const forgotten = createRoute({
  getParentRoute: () => strangerRoute,
  path: "/forgotten-password",
  component: lazyRouteComponent(() => import("./ForgottenPasswordPage"), "ForgottenPasswordPage"),
});

const reset = createRoute({
  getParentRoute: () => strangerRoute,
  path: "/reset-password",
  component: lazyRouteComponent(() => import("./ResetPasswordPage"), "ResetPasswordPage"),
});

const verify = createRoute({
  getParentRoute: () => strangerRoute,
  path: "/verify",
  component: lazyRouteComponent(() => import("./MailedLinkPage"), "VerifyPage"),
});

const undoEmail = createRoute({
  getParentRoute: () => strangerRoute,
  path: "/undo-email",
  component: lazyRouteComponent(() => import("./MailedLinkPage"), "UndoEmailPage"),
});

const unsubscribe = createRoute({
  getParentRoute: () => strangerRoute,
  path: "/unsubscribe",
  component: lazyRouteComponent(() => import("./MailedLinkPage"), "UnsubscribePage"),
});

export const authRoutes = [signIn, signUp, forgotten, reset, verify, undoEmail, unsubscribe] as const;
