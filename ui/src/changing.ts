// Something that changes, and those who want to hear of it. It knows neither.

/** State that views watch. */
export class Changing {
  #watchers = new Set<() => void>();

  /** Calls `hear` after each change, until the function that it gives back is called. */
  watch(hear: () => void): () => void {
    this.#watchers.add(hear);
    return () => this.#watchers.delete(hear);
  }

  /** Tells the watchers. */
  protected changed(): void {
    for (const hear of [...this.#watchers]) hear();
  }
}
