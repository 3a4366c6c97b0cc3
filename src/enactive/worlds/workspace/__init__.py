"""The tool workspace: seeded tasks over files, tables, a shop, units and documents."""
