namespace Platform.Domain.Daemons;

/// <summary>What work costs, in credits. A run pins the version it began under; a new price is a new version.</summary>
/// <param name="AgentPer1000Characters">Of instructions and data sent to the built-in local agent.</param>
/// <param name="ScriptPerCpuSecond">Of the whole process tree.</param>
/// <param name="CreditsPerUsd">A budget in dollars is held to this many credits.</param>
public sealed record PriceBook(int Version, decimal AgentPer1000Characters, decimal ScriptPerCpuSecond, decimal CreditsPerUsd)
{
    /// <summary>Tools cost nothing: they run on the user's own machine, as do agent and script, whose price only makes budgets work.</summary>
    public static readonly PriceBook Current = new(1, 0.01m, 0.01m, 100m);

    private static readonly PriceBook[] Versions = [Current];

    /// <exception cref="ArgumentOutOfRangeException">A run of a newer program.</exception>
    public static PriceBook Of(int version) => version >= 1 && version <= Versions.Length
        ? Versions[version - 1]
        : throw new ArgumentOutOfRangeException(nameof(version), version, $"Price books 1 to {Versions.Length} are known.");

    /// <summary>Rounded up to 4 places, so that something never costs nothing.</summary>
    public decimal Agent(long characters) => RoundUp(AgentPer1000Characters * characters / 1000m);

    public decimal Script(TimeSpan cpuTime) => RoundUp(ScriptPerCpuSecond * (decimal)cpuTime.TotalMilliseconds / 1000m);

    private static decimal RoundUp(decimal credits) => Math.Ceiling(credits * 10_000m) / 10_000m;
}
