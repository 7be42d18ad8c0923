//! plugins/tryton
