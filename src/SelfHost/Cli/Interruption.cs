using System.Runtime.InteropServices;

namespace Platform.SelfHost.Cli;

/// <summary>Ctrl-C and SIGTERM: the first asks for a clean end, the second leaves at once.</summary>
internal sealed class Interruption : IDisposable
{
    private readonly CancellationTokenSource leave = new();
    private readonly TaskCompletionSource first = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly List<PosixSignalRegistration> registrations = [];
    private int count;

    private Interruption()
    {
        foreach (var signal in (PosixSignal[])[PosixSignal.SIGINT, PosixSignal.SIGTERM])
        {
            registrations.Add(PosixSignalRegistration.Create(signal, context =>
            {
                context.Cancel = true;
                if (Interlocked.Increment(ref count) > 1) { leave.Cancel(); }
                else { first.TrySetResult(); }
            }));
        }
    }

    public CancellationToken Leave => leave.Token;

    /// <summary>Done at the first signal.</summary>
    public Task First => first.Task;

    public static Interruption Watch() => new();

    public void Dispose()
    {
        foreach (var registration in registrations) { registration.Dispose(); }
        leave.Dispose();
    }
}
