import type { Plugin } from "vite";

export declare const firstScreen: Plugin;
