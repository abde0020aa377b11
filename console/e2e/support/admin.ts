/** Administrators, made as an operator makes them: by the command line. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";

export async function makeAdmin(email: string): Promise<void> {
  const { PYTHON = "python3", DATABASE_URL = "", PATH = "" } = process.env;
  const env = { PATH, DATABASE_URL };
  await promisify(execFile)(PYTHON, ["-m", "manage", "users", "grant", email], { cwd: "..", env });
}
