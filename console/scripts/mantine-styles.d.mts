import type { Plugin } from "vite";

export declare const mantineStyles: Plugin;
