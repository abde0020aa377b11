/** Errors of the API (RFC 9457), as the console shows them. */

interface Problem {
  code: string;
  title: string;
  detail: string;
  status: number;
  errors?: { field: string; message: string }[];
}

/** The API refused a call; `message` is its sentence for people. */
export class ApiError extends Error {
  override name = "ApiError";

  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    /** The whole document, for codes that bring more, such as `precondition_failed` with the stored workflow. */
    readonly problem: Record<string, unknown> = {},
    /** Seconds after which a repeat makes sense, if the API names them. */
    readonly retryAfter?: number | undefined,
  ) {
    super(message);
  }

  /** The error that a response stands for, whatever wrote it. */
  static async of(response: Response): Promise<ApiError> {
    const after = Number(response.headers.get("Retry-After") ?? Number.NaN);
    const retryAfter = Number.isNaN(after) ? undefined : after;
    const document: unknown = await response
      .clone()
      .json()
      .catch(() => null);
    if (!isProblem(document)) {
      const detail = `The server answered ${response.status} without saying why. Try again in a moment.`;
      return new ApiError(response.status, "unknown", detail, {}, retryAfter);
    }
    return new ApiError(response.status, document.code, document.detail, { ...document }, retryAfter);
  }

  /** The messages by field: what `form.setErrors` takes. */
  get fields(): Record<string, string> {
    const errors = (this.problem.errors ?? []) as { field: string; message: string }[];
    return Object.fromEntries(errors.map(({ field, message }) => [field, message]));
  }
}

/** The request did not reach the server. */
export class OfflineError extends Error {
  override name = "OfflineError";

  constructor() {
    super("The server cannot be reached. Check your connection.");
  }
}

function isProblem(value: unknown): value is Problem {
  return typeof value === "object" && value !== null && "code" in value && "detail" in value;
}

/** A sentence for people about any error. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : "Something went wrong.";
}

/**
 * Errors at the fields of a form that has `names`, and the sentence for those that belong to none of them.
 * `codes` says at which field an error without fields belongs, such as `wrong_password`.
 */
export function formErrors(
  error: unknown,
  names: readonly string[],
  codes: Record<string, string> = {},
): { fields: Record<string, string>; general: string | null } {
  if (!(error instanceof ApiError)) return { fields: {}, general: messageOf(error) };
  const at = codes[error.code];
  if (at) return { fields: { [at]: error.message }, general: null };
  const entries = Object.entries(error.fields);
  const known = entries.filter(([field]) => names.includes(field));
  const others = entries.filter(([field]) => !names.includes(field)).map(([, message]) => message);
  if (entries.length === 0) return { fields: {}, general: error.message };
  return { fields: Object.fromEntries(known), general: others.length > 0 ? others.join(" ") : null };
}
