// The table of all symbols: AG Grid, fed by transactions so that sorting, filters and the choice
// of rows survive an update.

import { navigate } from "../router.js";
import { symbolPath } from "../server.js";
import { columnDefinitions } from "./columns.js";

const narrow = matchMedia("(max-width: 700px)");
const stillness = matchMedia("(prefers-reduced-motion: reduce)");
const ROW_HEIGHT = 30;
const MOST_FLASHES = 50;
const ROW_SELECTION = {
  mode: "multiRow",
  checkboxes: false,
  headerCheckbox: false,
  enableClickSelection: false, // see #onClick
};

/** The state when the table was last left; it is the same when one comes back. */
let leftState = null;

/**
 * Load AG Grid, 1 MB: begun before the rest of the page is made.
 * @returns {Promise<any>}
 */
export function loadGrid() {
  return import("/assets/vendor/aggrid/index.js");
}

/** The table, its filters and choice. */
export class SymbolGrid {
  #api;
  #closers = [];
  /** @type {"all"|"actionable"|"attention"|"chosen"} */
  #show = "all";

  /**
   * @param {any} library AG Grid
   * @param {HTMLElement} element
   * @param {import("../overview_store.js").OverviewStore} store
   * @param {() => void} onChange called when other rows are shown or chosen
   */
  constructor(library, element, store, onChange) {
    library.ModuleRegistry.registerModules([library.AllCommunityModule]);
    const options = this.#options(library, store, onChange);
    this.#api = library.createGrid(element, options, { setThemeOnGridElement: false });
    const onNarrow = () => this.#api.setGridOption("columnDefs", columnDefinitions(narrow.matches));
    narrow.addEventListener("change", onNarrow);
    this.#closers = [
      store.on("rows", (change) => {
        this.#flash(this.#api.applyTransaction(change).update);
        onChange();
      }),
      () => narrow.removeEventListener("change", onNarrow),
    ];
  }

  /** Show the rows whose symbol, standing or version has this text. @param {string} text */
  filter(text) {
    this.#api.setGridOption("quickFilterText", text);
  }

  /** Show some rows only. @param {"all"|"actionable"|"attention"|"chosen"} show */
  show(show) {
    this.#show = show;
    this.#api.onFilterChanged();
  }

  /** Return how many rows are shown and chosen. */
  describe() {
    const shown = this.#api.getDisplayedRowCount();
    return { shown, chosen: this.#api.getSelectedNodes().length };
  }

  /** Return the symbols that are shown, in their order. @returns {string[]} */
  order() {
    const order = [];
    this.#api.forEachNodeAfterFilterAndSort((node) => order.push(node.data.symbol));
    return order;
  }

  /** Move the focus into the table. */
  focus() {
    const first = this.#api.getDisplayedRowAtIndex(0);
    if (first) this.#api.setFocusedCell(this.#api.getFocusedCell()?.rowIndex ?? 0, "symbol");
  }

  /** Leave the table; its state is kept for the next time. */
  close() {
    leftState = this.#api.getState();
    for (const close of this.#closers) close();
    this.#api.destroy();
  }

  #options(library, store, onChange) {
    return {
      theme: makeTheme(library.themeQuartz),
      styleNonce: document.querySelector("meta[name='style-nonce']").content,
      columnDefs: columnDefinitions(narrow.matches),
      defaultColDef: {
        sortable: true,
        resizable: true,
        filter: true,
        getQuickFilterText: () => "",
      },
      // Wider than its columns, the table shares the rest out.
      autoSizeStrategy: { type: "fitGridWidth" },
      rowData: [...store.rows.values()],
      getRowId: ({ data }) => data.symbol,
      initialState: leftState ?? { sort: { sortModel: [{ colId: "symbol", sort: "asc" }] } },
      rowBuffer: 4, // rows that are made ready outside the view
      rowHeight: ROW_HEIGHT,
      headerHeight: ROW_HEIGHT + 2,
      rowSelection: ROW_SELECTION,
      animateRows: false, // rows that jump about cannot be read
      tooltipShowDelay: 400,
      cellFlashDuration: 400,
      suppressDragLeaveHidesColumns: true,
      overlayNoRowsTemplate: "<span>No symbol to show yet</span>",
      isExternalFilterPresent: () => this.#show !== "all",
      doesExternalFilterPass: (node) => this.#passes(node),
      onCellKeyDown: ({ event, data }) =>
        event.key === "Enter" && navigate(symbolPath(data.symbol)),
      onCellClicked: (event) => this.#onClick(event),
      onRowDoubleClicked: ({ data }) => navigate(symbolPath(data.symbol)),
      onFilterChanged: onChange,
      onSortChanged: onChange,
      onSelectionChanged: onChange,
    };
  }

  /** Mark closes that are new; where many are, the marks would cost more than they tell. */
  #flash(nodes) {
    if (nodes.length > MOST_FLASHES || stillness.matches) return;
    this.#api.flashCells({ rowNodes: nodes, columns: ["close"] });
  }

  /** Choose a row, or take it back, as Space does; the symbol is a link and opens. */
  #onClick({ column, node }) {
    if (column.getColId() !== "symbol") node.setSelected(!node.isSelected());
  }

  #passes(node) {
    if (this.#show === "actionable") return node.data.actionable === true;
    if (this.#show === "chosen") return node.isSelected();
    return node.data.standing !== "live";
  }
}

/** The page's own colours, as variables: light and dark need no other theme. */
function makeTheme(themeQuartz) {
  return themeQuartz.withParams({
    accentColor: "var(--good)",
    backgroundColor: "var(--surface)",
    foregroundColor: "var(--text)",
    borderColor: "var(--line)",
    headerBackgroundColor: "var(--raised)",
    headerTextColor: "var(--muted)",
    headerFontSize: 12,
    headerFontWeight: 600,
    fontFamily: "inherit",
    fontSize: 12.5,
    cellHorizontalPadding: "var(--cell-padding)",
    wrapperBorderRadius: "var(--radius)",
    rowHoverColor: "var(--raised)",
    selectedRowBackgroundColor: "var(--info-surface)",
    valueChangeValueHighlightBackgroundColor: "var(--info-surface)",
    browserColorScheme: "inherit",
  });
}
