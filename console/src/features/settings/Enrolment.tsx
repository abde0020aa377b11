/** Shows the secret of a new second factor to an authenticator app, and the recovery codes once it is confirmed. */
import { Alert, Button, Modal, Stack, Text, TextInput } from "@mantine/core";
import { renderSVG } from "uqr";

import { api, body, type Schemas } from "@/api/client";
import { ChangeDialog } from "@/ui/ChangeDialog";
import { CopyField } from "@/ui/CopyField";

import classes from "./settings.module.css";

interface EnrolmentProps {
  enrolment: Schemas["Enrolment"];
  onConfirmed: (codes: string[]) => void;
  onClose: () => void;
}

export function EnrolmentDialog({ enrolment, onConfirmed, onClose }: EnrolmentProps) {
  const picture = `data:image/svg+xml,${encodeURIComponent(renderSVG(enrolment.uri))}`;
  return (
    <ChangeDialog
      title="Scan this with your authenticator app"
      action="Confirm"
      initial={{ code: "" }}
      onSubmit={({ code }) => body(api.POST("/auth/two-factor/confirm", { body: { code: code.trim() } }))}
      onDone={({ recoveryCodes }) => onConfirmed(recoveryCodes)}
      onClose={onClose}
    >
      {(form) => (
        <>
          <img className={classes.qr} src={picture} alt="QR code with the secret that is written below" />
          <CopyField value={enrolment.secret} label="Secret" />
          <TextInput
            label="Code"
            description="The six digits that the app shows now."
            required
            inputMode="numeric"
            autoComplete="one-time-code"
            {...form.getInputProps("code")}
          />
        </>
      )}
    </ChangeDialog>
  );
}

export function RecoveryCodesDialog({ codes, onClose }: { codes: string[]; onClose: () => void }) {
  return (
    <Modal opened onClose={onClose} title="Your recovery codes">
      <Stack>
        <Alert color="copper">
          <Text size="sm">
            Keep them where you find them without your phone. Each works once, and they are not shown again.
          </Text>
        </Alert>
        <ul className={classes.codes}>
          {codes.map((code) => (
            <li key={code}>{code}</li>
          ))}
        </ul>
        <CopyField value={codes.join("\n")} label="All codes" />
        <Button onClick={onClose}>I have them</Button>
      </Stack>
    </Modal>
  );
}
