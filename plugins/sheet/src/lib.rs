//! plugins/sheet
