/** Words about templates. */

/** "data" as "Data"; authors may use other categories than those of the service. */
export function categoryName(category: string): string {
  return category.charAt(0).toUpperCase() + category.slice(1);
}

export function nodesWord(count: number): string {
  return `${count.toLocaleString("en")} ${count === 1 ? "node" : "nodes"}`;
}

export function usesWord(count: number): string {
  if (count === 0) return "not used yet";
  return `used ${count === 1 ? "once" : `${count.toLocaleString("en")} times`}`;
}

/** The author's estimate, which is in minutes. */
export function estimateWord(minutes: number | null): string | null {
  if (minutes === null) return null;
  return minutes < 60 ? `about ${minutes} min` : `about ${Math.round(minutes / 60)} h`;
}

export const REPORT_REASONS = [
  "It does harm",
  "It is spam",
  "It copies somebody's work",
  "Something else",
] as const;

/** What the address of the gallery says. */
export interface GallerySearch {
  category?: string;
  own?: boolean;
}

export function readGallerySearch(search: Record<string, unknown>): GallerySearch {
  return {
    ...(typeof search.category === "string" && search.category !== "" ? { category: search.category } : {}),
    ...(search.own === true ? { own: true } : {}),
  };
}
