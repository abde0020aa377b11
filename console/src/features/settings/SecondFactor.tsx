/** The second factor: an authenticator app, and recovery codes for a lost device. */
import { Button, Group, PasswordInput, Text, TextInput } from "@mantine/core";
import { queryOptions, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { api, body, type Schemas } from "@/api/client";
import { keys } from "@/api/keys";
import { ChangeDialog } from "@/ui/ChangeDialog";
import { Section } from "@/ui/Section";
import { Loaded } from "@/ui/states";
import { StatusBadge } from "@/ui/StatusBadge";
import { Time } from "@/ui/values";

import { EnrolmentDialog, RecoveryCodesDialog } from "./Enrolment";

const factorQuery = queryOptions({
  queryKey: keys.twoFactor,
  queryFn: ({ signal }) => body(api.GET("/auth/two-factor", { signal })),
});

type Step = "setup" | "off" | "codes" | { enrolment: Schemas["Enrolment"] } | { codes: string[] } | null;

export function SecondFactor() {
  const query = useQuery(factorQuery);
  const [step, setStep] = useState<Step>(null);
  return (
    <Section title="Second factor">
      <Loaded query={query} rows={2}>
        {(factor) => <State factor={factor} onStep={setStep} />}
      </Loaded>
      <Dialogs step={step} onStep={setStep} />
    </Section>
  );
}

function State({ factor, onStep }: { factor: Schemas["Factor"]; onStep: (step: Step) => void }) {
  if (!factor.enabled)
    return (
      <>
        <Text c="dimmed" mb="md">
          Off. With one, a stolen password is not enough to sign in: your phone shows a code as well.
        </Text>
        <Button onClick={() => onStep("setup")}>Turn on</Button>
      </>
    );
  return (
    <>
      <Group gap="sm" mb="md">
        <StatusBadge status="active" label="On" />
        <Text c="dimmed">
          since <Time value={factor.confirmedAt} exact="date" />, {factor.recoveryCodesLeft} recovery codes
          left
        </Text>
      </Group>
      <Group gap="sm">
        <Button variant="default" onClick={() => onStep("codes")}>
          New recovery codes
        </Button>
        <Button variant="subtle" color="red" onClick={() => onStep("off")}>
          Turn off
        </Button>
      </Group>
    </>
  );
}

function Dialogs({ step, onStep }: { step: Step; onStep: (step: Step) => void }) {
  const queryClient = useQueryClient();
  const close = () => onStep(null);
  const done = (codes: string[] | null) => {
    onStep(codes && { codes });
    void queryClient.invalidateQueries({ queryKey: keys.twoFactor });
  };
  if (step === null) return null;
  if (step === "setup")
    return <PasswordDialog onEnrolled={(enrolment) => onStep({ enrolment })} onClose={close} />;
  if (step === "off" || step === "codes") return <CodeDialog step={step} onDone={done} onClose={close} />;
  if ("codes" in step) return <RecoveryCodesDialog codes={step.codes} onClose={close} />;
  return <EnrolmentDialog enrolment={step.enrolment} onConfirmed={done} onClose={close} />;
}

function PasswordDialog({
  onEnrolled,
  onClose,
}: {
  onEnrolled: (enrolment: Schemas["Enrolment"]) => void;
  onClose: () => void;
}) {
  return (
    <ChangeDialog
      title="Turn the second factor on"
      action="Continue"
      initial={{ password: "" }}
      codes={{ wrong_password: "password" }}
      onSubmit={(values) => body(api.POST("/auth/two-factor/setup", { body: values }))}
      onDone={onEnrolled}
      onClose={onClose}
    >
      {(form) => (
        <PasswordInput
          label="Your password"
          required
          autoComplete="current-password"
          data-autofocus
          {...form.getInputProps("password")}
        />
      )}
    </ChangeDialog>
  );
}

interface CodeDialogProps {
  step: "off" | "codes";
  /** Gets the new codes, or null when it was turned off. */
  onDone: (codes: string[] | null) => void;
  onClose: () => void;
}

/** Turning it off and making new recovery codes both take the password and a code. */
function CodeDialog({ step, onDone, onClose }: CodeDialogProps) {
  const submit = async (values: { password: string; code: string }) => {
    if (step === "codes")
      return (await body(api.POST("/auth/two-factor/recovery-codes", { body: values }))).recoveryCodes;
    await api.DELETE("/auth/two-factor", { body: values });
    return null;
  };
  return (
    <ChangeDialog
      title={step === "off" ? "Turn the second factor off" : "New recovery codes"}
      action={step === "off" ? "Turn off" : "Make new codes"}
      danger={step === "off"}
      initial={{ password: "", code: "" }}
      codes={{ wrong_password: "password" }}
      onSubmit={submit}
      onDone={onDone}
      onClose={onClose}
    >
      {(form) => (
        <>
          <Text size="sm" c="dimmed">
            {step === "off"
              ? "Your password alone is enough to sign in then."
              : "The old codes stop working at once."}
          </Text>
          <PasswordInput
            label="Your password"
            required
            autoComplete="current-password"
            data-autofocus
            {...form.getInputProps("password")}
          />
          <TextInput label="Code" required autoComplete="one-time-code" {...form.getInputProps("code")} />
        </>
      )}
    </ChangeDialog>
  );
}
