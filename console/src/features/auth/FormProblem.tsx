/** The error of a form that belongs to none of its fields. */
import { Alert } from "@mantine/core";
import { IconAlertTriangle } from "@tabler/icons-react";

export function FormProblem({ message }: { message: string | null }) {
  if (!message) return null;
  return (
    <Alert color="red" role="alert" icon={<IconAlertTriangle aria-hidden />}>
      {message}
    </Alert>
  );
}
