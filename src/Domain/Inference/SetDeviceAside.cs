using Platform.Messaging;

namespace Platform.Domain.Inference;

/// <summary>Says in the log that a device failed while it ran a model, and that the CPU runs that model from here on, in this process.</summary>
/// <param name="Device">As <c>platform doctor</c> names it: <c>cuda:0</c>.</param>
/// <param name="DeviceName">As its driver calls it.</param>
/// <param name="Failure">What kind of failure it was.</param>
/// <param name="Reason">The driver's call, its error and what that means.</param>
/// <param name="Model">The model that it ran.</param>
public sealed record SetDeviceAside(ModelLibraryId Library, string Device, string DeviceName, string Failure, string Reason, string Model);

/// <summary>A device failed while it ran a model; the batch was done on the CPU, as all of that model are which follow, until it is loaded again. Another model may try the device and fail too.</summary>
public sealed record DeviceSetAside(string Device, string DeviceName, string Failure, string Reason, string Model, DateTimeOffset At);

public static class SetDeviceAsideHandler
{
    public static (Events, OutgoingMessages) Handle(SetDeviceAside command, ModelLibrary? library, DateTimeOffset now) =>
        ([new DeviceSetAside(command.Device, command.DeviceName, command.Failure, command.Reason, command.Model, now)], []);
}
