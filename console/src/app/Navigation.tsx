/** The navigation of the shell, in its two shapes. */
import { Drawer, UnstyledButton } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconDots } from "@tabler/icons-react";
import { Link } from "@tanstack/react-router";

import { Account } from "./Account";
import { Brand } from "./Brand";
import { ADMIN, DESTINATIONS } from "./nav";
import classes from "./Navigation.module.css";
import { useUser } from "@/api/session";

function useDestinations() {
  const user = useUser();
  return user.role === "admin" ? [...DESTINATIONS, { ...ADMIN, onBar: false }] : DESTINATIONS;
}

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
  const destinations = useDestinations();
  return (
    <>
      <nav aria-label="Main" className={classes.bar}>
        {destinations
          .filter(({ onBar }) => onBar)
          .map(({ to, label, icon: Icon }) => (
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
      <Drawer opened={opened} onClose={close} position="bottom" size="auto" title="More" radius="lg">
        <nav aria-label="More" className={classes.list}>
          {destinations
            .filter(({ onBar }) => !onBar)
            .map(({ to, label, icon: Icon }) => (
              <Link key={to} to={to} className={classes.item} onClick={close}>
                <Icon size={22} stroke={1.6} aria-hidden />
                {label}
              </Link>
            ))}
        </nav>
        <Account />
      </Drawer>
    </>
  );
}
