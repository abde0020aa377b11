/** Asks users to follow the link in their mail, without which the welcome credits are not granted. */
import { Button, Text } from "@mantine/core";
import { IconMail } from "@tabler/icons-react";
import { useMutation, useQuery } from "@tanstack/react-query";

import { api } from "@/api/client";
import { messageOf } from "@/api/problem";
import { meQuery } from "@/api/queries";

import classes from "./Banner.module.css";

const ASK_AGAIN_MS = 5000;

export function VerifyBanner() {
  const { data: user } = useQuery({
    ...meQuery,
    // The link is followed in another tab or on another device; this one notices.
    refetchInterval: (query) => (query.state.data?.emailVerified === false ? ASK_AGAIN_MS : false),
  });
  const resend = useMutation({ mutationFn: () => api.POST("/auth/verify/resend", {}) });
  if (!user || user.emailVerified) return null;
  return (
    <div className={classes.banner} data-tone="waiting">
      <IconMail size={18} aria-hidden />
      <Text size="sm" role="status">
        {resend.isError
          ? messageOf(resend.error)
          : resend.isSuccess
            ? `A new link is on its way to ${user.email}.`
            : `Follow the link that we mailed to ${user.email}: then your welcome credits arrive.`}
      </Text>
      <Button
        size="compact-sm"
        variant="default"
        loading={resend.isPending}
        disabled={resend.isSuccess}
        onClick={() => resend.mutate()}
      >
        Send again
      </Button>
    </div>
  );
}
