using System.Diagnostics;
using System.Diagnostics.Metrics;

namespace Platform.Messaging;

/// <summary>Names that a host gives to its telemetry exporter.</summary>
public static class Telemetry
{
    public const string Name = "Platform.Messaging";

    private static readonly Meter Meter = new(Name);

    internal static readonly ActivitySource Source = new(Name);
    internal static readonly Counter<long> Handled = Meter.CreateCounter<long>("messages.handled");
    internal static readonly Counter<long> Failed = Meter.CreateCounter<long>("messages.failed");
    internal static readonly Counter<long> Retried = Meter.CreateCounter<long>("messages.retried");
    internal static readonly Counter<long> Dead = Meter.CreateCounter<long>("messages.dead");
    internal static readonly UpDownCounter<long> InFlight = Meter.CreateUpDownCounter<long>("messages.in_flight");
    internal static readonly UpDownCounter<long> Waiting = Meter.CreateUpDownCounter<long>("messages.waiting");
    internal static readonly Histogram<double> Duration = Meter.CreateHistogram<double>("messages.duration", "ms");
}
