/** The mark and the name. */
import classes from "./Brand.module.css";

export function Mark({ size = 32 }: { size?: number }) {
  return (
    <svg viewBox="0 0 64 64" width={size} height={size} aria-hidden className={classes.mark}>
      <rect width="64" height="64" rx="15" fill="#0f6670" />
      <path
        d="M17 46 32 18 47 46M23.5 36h17"
        fill="none"
        stroke="#fff"
        strokeWidth="5"
        strokeLinecap="round"
        strokeLinejoin="round"
      />
      <circle cx="32" cy="18" r="6.5" fill="#f0a35e" />
      <circle cx="17" cy="46" r="5.5" fill="#fff" />
      <circle cx="47" cy="46" r="5.5" fill="#fff" />
    </svg>
  );
}

export function Brand() {
  return (
    <span className={classes.brand}>
      <Mark />
      AgentForge
    </span>
  );
}
