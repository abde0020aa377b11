/** The mails that the stack's catcher holds. */
import { expect } from "@playwright/test";

const MAIL_URL = process.env.MAIL_URL ?? "http://127.0.0.1:18793";

interface Mail {
  to: string[];
  subject: string;
  text: string;
}

async function mailsTo(address: string): Promise<Mail[]> {
  const response = await fetch(`${MAIL_URL}/messages.json`);
  const { mails } = (await response.json()) as { mails: Mail[] };
  return mails.filter((mail) => JSON.stringify(mail.to).includes(address));
}

/** The newest link with `part` in it that was mailed to an address. */
export async function linkMailedTo(address: string, part: string): Promise<string> {
  let link: string | undefined;
  await expect
    .poll(
      async () => {
        const links = (await mailsTo(address)).flatMap((mail) => mail.text.match(/https?:\/\/\S+/g) ?? []);
        link = links.findLast((found) => found.includes(part));
        return link;
      },
      { message: `a mail to ${address} with ${part}` },
    )
    .toBeTruthy();
  return link ?? "";
}
