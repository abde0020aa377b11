import type { Plugin } from "vite";

export declare const early: Plugin;
