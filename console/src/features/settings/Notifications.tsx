/** Which messages the caller gets, by mail and on a phone. */
import { Alert, Switch, Text } from "@mantine/core";
import { queryOptions, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";

import { api, body, type Schemas } from "@/api/client";
import { keys } from "@/api/keys";
import { messageOf } from "@/api/problem";
import { Section } from "@/ui/Section";
import { Loaded } from "@/ui/states";

import { changed, type Channel } from "./choices";
import classes from "./settings.module.css";

type Preferences = Schemas["Preferences"];
type Preference = Schemas["Preference"];

const preferencesQuery = queryOptions({
  queryKey: keys.notifications,
  queryFn: ({ signal }) => body(api.GET("/notifications/preferences", { signal })),
});

const CHANNELS: readonly { channel: Channel; label: string }[] = [
  { channel: "email", label: "E-mail" },
  { channel: "push", label: "Phone" },
];

/** A switch moves at once, and back if the API refuses. */
function useChoice() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: ({ topic, channel, on }: { topic: Preference["topic"]; channel: Channel; on: boolean }) =>
      body(api.PUT("/notifications/preferences", { body: { preferences: [{ topic, [channel]: on }] } })),
    onMutate: async (choice) => {
      await client.cancelQueries({ queryKey: keys.notifications });
      const before = client.getQueryData<Preferences>(keys.notifications);
      if (before) client.setQueryData<Preferences>(keys.notifications, changed(before, choice));
      return before;
    },
    onError: (_error, _choice, before) => client.setQueryData(keys.notifications, before),
    onSettled: () => client.invalidateQueries({ queryKey: keys.notifications }),
  });
}

export function Notifications() {
  const query = useQuery(preferencesQuery);
  const choose = useChoice();
  return (
    <Section title="Notifications">
      <Loaded query={query} rows={6}>
        {({ preferences, devices }) => (
          <>
            <Text c="dimmed" size="sm" mb="md">
              {devices === 0
                ? "No phone is registered: sign in to the app on a phone to get messages there."
                : "What is sent to your address, and to the phones on which you are signed in to the app."}
            </Text>
            {choose.isError ? (
              <Alert color="red" role="alert" mb="md">
                {messageOf(choose.error)}
              </Alert>
            ) : null}
            <ul className={classes.topics} aria-label="Notifications">
              {preferences.map((preference) => (
                <Topic
                  key={preference.topic}
                  preference={preference}
                  onChange={(channel, on) => choose.mutate({ topic: preference.topic, channel, on })}
                />
              ))}
            </ul>
          </>
        )}
      </Loaded>
    </Section>
  );
}

interface TopicProps {
  preference: Preference;
  onChange: (channel: Channel, on: boolean) => void;
}

function Topic({ preference, onChange }: TopicProps) {
  const { topic, title, required, reason } = preference;
  const reasonId = reason ? `why-${topic}` : undefined;
  return (
    <li className={classes.topic}>
      <div>
        <Text fw={500}>{title}</Text>
        {reason ? (
          <Text size="sm" c="dimmed" id={reasonId}>
            {required.length === CHANNELS.length ? "Always on. " : "The mail is always sent. "}
            {reason}
          </Text>
        ) : null}
      </div>
      <div className={classes.channels}>
        {CHANNELS.map(({ channel, label }) => {
          const isRequired = required.includes(channel);
          return (
            <Switch
              key={channel}
              label={label}
              aria-label={`${title}: ${label}`}
              aria-describedby={isRequired ? reasonId : undefined}
              checked={preference[channel]}
              disabled={isRequired}
              onChange={(event) => onChange(channel, event.currentTarget.checked)}
            />
          );
        })}
      </div>
    </li>
  );
}
