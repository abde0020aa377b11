/** What does not fit on the bar of a phone: the other destinations, and the account. */
import { Drawer } from "@mantine/core";
import { Link } from "@tanstack/react-router";

import { Account } from "./Account";
import classes from "./Navigation.module.css";
import { useDestinations } from "./nav";

export function MoreDrawer({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  const destinations = useDestinations().filter(({ onBar }) => !onBar);
  return (
    <Drawer opened={opened} onClose={onClose} position="bottom" size="auto" title="More" radius="lg">
      <nav aria-label="More" className={classes.list}>
        {destinations.map(({ to, label, icon: Icon }) => (
          <Link key={to} to={to} className={classes.item} onClick={onClose}>
            <Icon size={22} stroke={1.6} aria-hidden />
            {label}
          </Link>
        ))}
      </nav>
      <Account />
    </Drawer>
  );
}
