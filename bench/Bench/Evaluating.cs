using System.Diagnostics;
using System.Text.Json;
using Platform.Domain.Daemons.Expressions;

namespace Platform.Bench;

/// <summary>Expressions as daemons write them, evaluated against the values of a run. Parsed once, as a definition is.</summary>
internal static class Evaluating
{
    private static readonly string[] Texts =
    [
        "ticket.priority",
        "ticket.title + ' (' + ticket.customer.name + ')'",
        "verdict.score >= 0.8 && !ticket.tags.any(t, t == 'spam')",
        "size(trim(ticket.text)) == 0",
        "ticket.lines.map(l, l.amount)",
        "ticket.lines.filter(l, l.amount > 100 && l.kind != 'credit')",
        "verdict.category == 'invoice' ? vars.folders.invoices : vars.folders.other",
        "ticket.missing ?? vars.folders.other",
    ];

    public static Task Measure(Ground ground, Report report)
    {
        var scope = new Scope();
        var expressions = Array.ConvertAll(Texts, Expression.Parse);
        var count = ground.Settings.Size(50_000, 100);
        var (all, slowest) = (new List<double>(), new List<double>());
        for (var round = -1; round < ground.Settings.Rounds; round++)
        {
            var times = new List<double>();
            foreach (var expression in expressions)
            {
                var began = Stopwatch.GetTimestamp();
                for (var i = 0; i < count; i++) { expression.Evaluate(scope); }
                times.Add(Stopwatch.GetElapsedTime(began).TotalMicroseconds / count);
            }

            if (round < 0) { continue; }
            all.Add(times.Average());
            slowest.Add(times.Max());
        }

        report.Add("expression", $"evaluation, mean of {Texts.Length}", "us", all, null, null);
        report.Add("expression", "evaluation, the slowest (filter of 10)", "us", slowest, null, new Bar(10, false, false));
        return Task.CompletedTask;
    }

    private sealed class Scope : IScope
    {
        private readonly Dictionary<string, JsonElement> values = JsonDocument.Parse("""
            {
              "ticket": {
                "priority": 2, "title": "Two crates short", "text": "  Counted again with the driver present: eighteen on the note, sixteen on the truck.  ",
                "customer": { "name": "Westergaard" }, "tags": ["delivery", "short", "supplier"],
                "lines": [
                  { "amount": 120, "kind": "goods" }, { "amount": 80, "kind": "goods" }, { "amount": 300, "kind": "credit" }, { "amount": 15, "kind": "goods" }, { "amount": 220, "kind": "goods" },
                  { "amount": 99, "kind": "goods" }, { "amount": 101, "kind": "goods" }, { "amount": 45, "kind": "credit" }, { "amount": 500, "kind": "goods" }, { "amount": 7, "kind": "goods" }
                ]
              },
              "verdict": { "category": "invoice", "score": 0.91 },
              "vars": { "folders": { "invoices": "invoices", "other": "other" } }
            }
            """).RootElement.EnumerateObject().ToDictionary(member => member.Name, member => member.Value.Clone(), StringComparer.Ordinal);

        public DateTimeOffset Now { get; } = new(2026, 3, 4, 10, 30, 0, TimeSpan.Zero);

        public bool TryGet(string name, out JsonElement value) => values.TryGetValue(name, out value);
    }
}
