using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Json.Serialization;
using Npgsql;

namespace Platform.Bench;

/// <param name="AtLeast">Else: at most.</param>
/// <param name="OfRatio">Else: of the figure itself.</param>
internal sealed record Bar(double Value, bool AtLeast, bool OfRatio)
{
    public bool Holds(double value) => AtLeast ? value >= Value : value <= Value;
}

/// <summary>Median, least and greatest of the rounds.</summary>
internal sealed record Spread(double Median, double Least, double Greatest)
{
    public static Spread Of(IEnumerable<double> values)
    {
        var sorted = values.Order().ToArray();
        var middle = sorted.Length % 2 == 1 ? sorted[sorted.Length / 2] : (sorted[(sorted.Length / 2) - 1] + sorted[sorted.Length / 2]) / 2;
        return new Spread(middle, sorted[0], sorted[^1]);
    }
}

/// <param name="Ratio">Of each round's ours to the same round's peer.</param>
internal sealed record Figure(string Part, string Name, string Unit, Spread Ours, Spread? Peer, Spread? Ratio, Bar? Bar)
{
    public bool? Met => Bar?.Holds(Bar.OfRatio ? Ratio!.Median : Ours.Median);
}

/// <summary>Collects figures and prints them.</summary>
internal sealed class Report(Settings settings)
{
    private readonly List<Figure> figures = [];
    private readonly List<string> machine = [];

    public async Task Describe(Ground ground)
    {
        var cpu = File.ReadLines("/proc/cpuinfo").FirstOrDefault(line => line.StartsWith("model name", StringComparison.Ordinal))?.Split(':', 2)[1].Trim() ?? RuntimeInformation.ProcessArchitecture.ToString();
        machine.Add($"{DateTimeOffset.UtcNow:yyyy-MM-dd HH:mm} UTC, {Environment.ProcessorCount} cores ({cpu}), load {File.ReadAllText("/proc/loadavg").Split(' ')[0]}, {RuntimeInformation.FrameworkDescription}");

        await using var source = Ground.Source(await ground.Database("disk"));
        await using var connection = await source.OpenConnectionAsync();
        await using (var make = new NpgsqlCommand("create table t (n bigint)", connection)) { await make.ExecuteNonQueryAsync(); }
        await using var insert = new NpgsqlCommand("insert into t values (1)", connection);
        await insert.PrepareAsync();
        var times = new List<double>();
        for (var i = 0; i < settings.Size(300, 5); i++)
        {
            var began = Stopwatch.GetTimestamp();
            await insert.ExecuteNonQueryAsync();
            times.Add(Stopwatch.GetElapsedTime(began).TotalMilliseconds);
        }

        var commit = Spread.Of(times);
        machine.Add(FormattableString.Invariant($"PostgreSQL {ground.Version}, the product's settings, fsync on, {new DriveInfo(ground.Folder).DriveFormat}; a commit of one row takes {commit.Median:0.00} ms ({commit.Least:0.00} to {commit.Greatest:0.00})"));
        machine.Add(FormattableString.Invariant($"median of {settings.Rounds} rounds of {settings.Slice.TotalSeconds} s a side, ours and peer in turn; in brackets least and greatest"));
    }

    /// <summary>Operations a second of both sides, and their processor time.</summary>
    public void Compare(string part, string name, (Slice[] Ours, Slice[] Peer) rounds, double atLeast, double? cpuAtMost = null)
    {
        Add(part, name, "/s", rounds.Ours.Select(s => s.PerSecond), rounds.Peer.Select(s => s.PerSecond), new Bar(atLeast, true, true));
        Add(part, $"{name}: CPU", "us", rounds.Ours.Select(s => s.CpuUs), rounds.Peer.Select(s => s.CpuUs), cpuAtMost is { } most ? new Bar(most, false, true) : null);
        Add(part, $"{name}: CPU of the client alone", "us", rounds.Ours.Select(s => s.OwnCpuUs), rounds.Peer.Select(s => s.OwnCpuUs), null);
    }

    public void Add(string part, string name, string unit, IEnumerable<double> ours, IEnumerable<double>? peer, Bar? bar)
    {
        double[] own = [.. ours], other = [.. peer ?? []];
        figures.Add(new Figure(part, name, unit, Spread.Of(own), peer is null ? null : Spread.Of(other), peer is null ? null : Spread.Of(own.Zip(other, (a, b) => a / b)), bar));
        if (!settings.Json) { Console.Error.WriteLine($"  {Line(figures[^1])}"); }
    }

    public void Print()
    {
        if (settings.Json)
        {
            Console.WriteLine(JsonSerializer.Serialize(new Document(machine, figures), ReportJson.Default.Document));
            return;
        }

        foreach (var line in machine) { Console.WriteLine(line); }
        Console.WriteLine();
        Console.WriteLine($"{"",-58} {"ours",26} {"peer",26} {"ratio",18}  {"bar",-10} met");
        foreach (var figure in figures) { Console.WriteLine(Line(figure)); }
        var barred = figures.Where(figure => figure.Met is not null).ToArray();
        Console.WriteLine();
        Console.WriteLine($"{barred.Count(figure => figure.Met == true)} of {barred.Length} bars met");
    }

    private static string Line(Figure figure)
    {
        var bar = figure.Bar is { } is_ ? $"{(is_.AtLeast ? ">=" : "<=")} {Number(is_.Value)}{(is_.OfRatio ? "" : " " + figure.Unit)}" : "";
        var met = figure.Met switch { true => "yes", false => "NO", null => "" };
        return $"{figure.Part + " " + figure.Name,-58} {Text(figure.Ours, figure.Unit),26} {(figure.Peer is { } peer ? Text(peer, figure.Unit) : ""),26} {(figure.Ratio is { } ratio ? Text(ratio, "") : ""),18}  {bar,-10} {met}";
    }

    private static string Text(Spread spread, string unit) => $"{Number(spread.Median)} {unit} ({Number(spread.Least)}-{Number(spread.Greatest)})".Replace("  ", " ", StringComparison.Ordinal);

    private static string Number(double value) => value.ToString(value >= 100 ? "#,0" : value >= 10 ? "0.0" : "0.00", CultureInfo.InvariantCulture);
}

internal sealed record Document(IReadOnlyList<string> Machine, IReadOnlyList<Figure> Figures);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(Document))]
internal sealed partial class ReportJson : JsonSerializerContext;
