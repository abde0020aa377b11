/** Actions of the audit log in words. */

const WORDS: Record<string, string> = {
  "auth.registered": "Account created",
  "auth.login": "Signed in",
  "auth.login_failed": "Sign-in refused",
  "auth.logout": "Signed out",
  "auth.password_changed": "Password changed",
  "auth.password_reset": "Password reset",
  "auth.wrong_password": "Wrong password",
  "auth.wrong_code": "Wrong code of the second factor",
  "auth.email_change_asked": "New e-mail address asked for",
  "auth.email_verified": "E-mail address verified",
  "auth.email_restored": "Change of e-mail address undone",
  "auth.two_factor_enabled": "Second factor turned on",
  "auth.two_factor_disabled": "Second factor turned off",
  "auth.two_factor_removed": "Second factor removed by an administrator",
  "auth.recovery_codes_renewed": "New recovery codes",
  "auth.session_ended": "Session ended",
  "auth.other_sessions_ended": "All other sessions ended",
  "auth.token_reused": "An old token was used again",
  "auth.data_exported": "Copy of the data asked for",
};

/** An action without words of its own is shown by its name: "access_key.created" is "Access key created". */
export function actionWords(action: string): string {
  const words = action.replace(/^auth\./, "").replaceAll(/[._]/g, " ");
  return WORDS[action] ?? words.charAt(0).toUpperCase() + words.slice(1);
}
