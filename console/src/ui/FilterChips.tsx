/** One choice of a few, as chips in a row that scrolls on a phone. */
import { useId } from "react";

import { formatCount } from "./format";
import classes from "./FilterChips.module.css";

interface FilterChipsProps<Value extends string> {
  label: string;
  choices: readonly { value: Value; label: string; count?: number }[];
  value: Value;
  onChange: (value: Value) => void;
}

export function FilterChips<Value extends string>({
  label,
  choices,
  value,
  onChange,
}: FilterChipsProps<Value>) {
  const name = useId();
  return (
    <fieldset className={classes.row}>
      <legend className={classes.legend}>{label}</legend>
      {choices.map((choice) => (
        <label key={choice.value} className={classes.chip}>
          <input
            type="radio"
            name={name}
            className={classes.input}
            checked={choice.value === value}
            onChange={() => onChange(choice.value)}
          />
          {choice.label}
          {choice.count === undefined ? null : (
            <span className={classes.count}>{formatCount(choice.count)}</span>
          )}
        </label>
      ))}
    </fieldset>
  );
}
