"""The colours of a drawn graph, on light pages and on dark ones."""

from typing import Final

LIGHT: Final = {
    "card": "fill:#fff;stroke:#e3e7ee",
    "title": "fill:#1b2330",
    "name": "fill:#1b2330",
    "type": "fill:#667085",
    "setting": "fill:#475467",
    "rule": "stroke:#000;stroke-opacity:.1",
    "source rect": "fill:#e9f7ef;stroke:#36a269",
    "node rect": "fill:#eef3fe;stroke:#5b84d7",
    "sink rect": "fill:#fef1e6;stroke:#dd8638",
    "convert rect": "fill:#f8f9fb;stroke:#98a2b3",
    "fence rect": "stroke:#c3cad6",
    "fence text": "fill:#7b8698",
    "label": "fill:#344054;stroke:#fff",
    "port": "fill:#7b8698;stroke:#fff",
    "picture .line": "stroke:#5f7190",
    "picture .head": "fill:#5f7190",
    "audio .line": "stroke:#0d9488",
    "audio .head": "fill:#0d9488",
    "data .line": "stroke:#b054c4",
    "data .head": "fill:#b054c4",
}

DARK: Final = {
    "card": "fill:#12161d;stroke:#2a313c",
    "title": "fill:#e8ecf3",
    "name": "fill:#eef1f6",
    "type": "fill:#98a2b3",
    "setting": "fill:#b4bdcb",
    "rule": "stroke:#fff;stroke-opacity:.12",
    "source rect": "fill:#14281e;stroke:#3fae74",
    "node rect": "fill:#182236;stroke:#6d94e4",
    "sink rect": "fill:#2e2116;stroke:#e0924a",
    "convert rect": "fill:#1a1f27;stroke:#78828f",
    "fence rect": "stroke:#3d4654",
    "fence text": "fill:#8b95a5",
    "label": "fill:#d3dae5;stroke:#12161d",
    "port": "fill:#98a2b3;stroke:#12161d",
    "picture .line": "stroke:#8fa3c4",
    "picture .head": "fill:#8fa3c4",
    "audio .line": "stroke:#2cc4b5",
    "audio .head": "fill:#2cc4b5",
    "data .line": "stroke:#cf85df",
    "data .head": "fill:#cf85df",
}

KEY: Final = ("picture", "audio", "data")

STYLES: Final = {
    "source": "fill:#e9f7ef,stroke:#36a269,color:#1b2330",
    "node": "fill:#eef3fe,stroke:#5b84d7,color:#1b2330",
    "sink": "fill:#fef1e6,stroke:#dd8638,color:#1b2330",
    "convert": "fill:#f8f9fb,stroke:#98a2b3,color:#475467,stroke-dasharray:4 3",
}
