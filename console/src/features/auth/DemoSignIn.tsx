export function DemoSignIn(props: { onSignedIn: unknown; divider: unknown }) {
  return props.divider ? null : null;
}
