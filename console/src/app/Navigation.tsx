/** The navigation of the shell, in its two shapes. */
import { UnstyledButton } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconDots } from "@tabler/icons-react";
import { Link } from "@tanstack/react-router";

import { Brand } from "./Brand";
import { later } from "./later";
import { useDestinations } from "./nav";
import classes from "./Navigation.module.css";

const Account = later(async () => (await import("./Account")).Account);
const MoreDrawer = later(async () => (await import("./MoreDrawer")).MoreDrawer);

export function SideBar() {
  const destinations = useDestinations();
  return (
    <div className={classes.side}>
      <Link to="/" className={classes.brand} aria-label="AgentForge, home">
        <Brand />
      </Link>
      <nav aria-label="Main" className={classes.list}>
        {destinations.map(({ to, label, icon: Icon }) => (
          <Link key={to} to={to} className={classes.item} activeOptions={{ exact: to === "/" }}>
            <Icon size={20} stroke={1.6} aria-hidden />
            {label}
          </Link>
        ))}
      </nav>
      <Account />
    </div>
  );
}

export function PhoneBar() {
  const [opened, { open, close }] = useDisclosure(false);
  const destinations = useDestinations().filter(({ onBar }) => onBar);
  return (
    <>
      <nav aria-label="Main" className={classes.bar}>
        {destinations.map(({ to, label, icon: Icon }) => (
          <Link key={to} to={to} className={classes.tab} activeOptions={{ exact: to === "/" }}>
            <Icon size={22} stroke={1.6} aria-hidden />
            {label}
          </Link>
        ))}
        <UnstyledButton className={classes.tab} onClick={open} aria-haspopup="dialog">
          <IconDots size={22} stroke={1.6} aria-hidden />
          More
        </UnstyledButton>
      </nav>
      <MoreDrawer opened={opened} onClose={close} />
    </>
  );
}
